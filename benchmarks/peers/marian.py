"""Time Marian by its own log: labels and seconds of each update."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys

from timing import EOS, PAD, UNK, read_task, report

LOGGED = re.compile(r"Up\. (\d+) : .* \* ([\d,]+) @ .* : Time ([\d.]+)s")
"""Number of the update, labels since the line before, seconds since the line before."""


def main() -> None:
    """Train and print the speed."""
    task = read_task()
    # Its own order: the end of the sentence is 0, the unknown piece 1.
    pieces = [EOS, UNK, *(piece for piece in task.vocabulary if piece not in (EOS, UNK, PAD))]
    vocabulary = task.scratch / "vocabulary.yml"
    lines = [f"{json.dumps(piece)}: {number}\n" for number, piece in enumerate(pieces)]
    vocabulary.write_text("".join(lines), encoding="utf-8")
    size, updates = task.size, task.warm_up + task.steps
    command = [sys.executable, "-m", "pymarian", "train", "--type", "transformer"]
    command += ["--model", str(task.scratch / "model.npz"), "--vocabs", str(vocabulary), str(vocabulary)]
    command += ["--train-sets", str(task.corpus / "train.src"), str(task.corpus / "train.tgt")]
    command += ["--dim-emb", str(size["d_model"]), "--transformer-dim-ffn", str(size["ffn"])]
    command += ["--transformer-heads", str(size["heads"])]
    command += ["--enc-depth", str(size["encoder_layers"]), "--dec-depth", str(size["decoder_layers"])]
    command += ["--tied-embeddings-all", "--transformer-dropout", "0.1", "--label-smoothing", "0.1"]
    command += ["--optimizer", "adam", "--optimizer-params", "0.9", "0.98", "1e-9", "--learn-rate", "0.0001"]
    command += ["--clip-norm", "0"]
    command += ["--cpu-threads", str(task.threads), "--workspace", "2048", "--sync-sgd"]
    command += ["--mini-batch-words", str(task.tokens_per_step), "--mini-batch", "1000", "--maxi-batch", "100"]
    command += ["--after-batches", str(updates), "--disp-freq", "1", "--seed", "1"]
    command += ["--max-length", "200"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    logged = LOGGED.findall(done.stderr)[task.warm_up :]
    if done.returncode or len(logged) != task.steps:
        sys.exit(f"Marian ended with {done.returncode} after {len(logged)} timed updates:\n{done.stderr[-2000:]}")
    tokens = sum(int(labels.replace(",", "")) for _, labels, _ in logged)
    report("pymarian", task, tokens, sum(float(seconds) for *_, seconds in logged), who=resource.RUSAGE_CHILDREN)


if __name__ == "__main__":
    main()
