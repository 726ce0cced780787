"""Checks of whole commands, and of several ranks, each with a GPU."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from gpu import stand_ins, workload
from gpu.harness import Bench, SkippedError
from gpu.workload import TINY, Laps, make_updater, pick, size_of

from nmt.data.cleaning.corpus_text import iterate_text
from nmt.data.encoding.steps import StepStream
from nmt.run_folder import RunFolder
from nmt.training.distributed import Ranks, checksum, joined, joined_gpus

RECIPE = """\
name = "gpu"
[languages]
source = "en"
target = "de"
[data.train]
builtin = "train"
pairs = 2000
[data.dev]
builtin = "dev"
pairs = 20
[tokenizer]
vocab_size = 400
[model]
preset = "tiny"
[batching]
tokens_per_step = 2000
[training]
max_steps = 60
checkpoint_every = 30
validate_every = 30
average_checkpoints = 2
precision = "bfloat16"
"""
STEPS = 4
TIMED = 30
PATIENCE = 120.0
EIGHT_GPUS = 20
"""Minutes of 100,000 steps of the paper's base model on eight GPUs."""


def commands(bench: Bench) -> None:
    """`nmt run`, `translate` and `export` as a user types them, and the translations of both devices."""
    bench.needs_gpu()
    if absent := stand_ins.missing(stand_ins.PACKAGES):
        raise SkippedError(f"needs {', '.join(absent)}")
    with tempfile.TemporaryDirectory() as folder:
        recipe, run = Path(folder) / "gpu.toml", Path(folder) / "run"
        recipe.write_text(RECIPE)
        nmt("run", recipe, "--run-dir", run, "--set", "training.device=cuda")
        pairs = iterate_text(RunFolder(run).text, "train")
        text = "".join(f"{source}\n" for source, _ in islice(pairs, 200))
        lines = [nmt("translate", run / "model", "--device", device, text=text) for device in ("cpu", "cuda", "cuda")]
        same = [one == two for one, two in zip(*(text.splitlines() for text in lines[:2]), strict=True)]
        bench.figures |= {"lines": len(same), "same": sum(same) / len(same)}
        bench.expect(sum(same) >= 0.99 * len(same), "a GPU translates otherwise than a CPU")
        bench.expect(lines[1] == lines[2], "a GPU translates otherwise the second time")
        if not stand_ins.missing(["ctranslate2"]):
            nmt("export", run / "model", Path(folder) / "ct2", "--to", "ctranslate2")
            bench.figures["exported"] = True


def nmt(*arguments: object, text: str = "") -> str:
    """Run a command; return its output. Raises RuntimeError where it fails."""
    command = [sys.executable, "-m", "nmt", *map(str, arguments)]
    path = str(Path(__file__).resolve().parent.parent.parent)  # nmt need not be installed
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"nmt {arguments[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def several_ranks(bench: Bench) -> None:
    """Two ranks against one: the same update, the same weights on both, and the time of an all-reduce."""
    ranks_available(bench)
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for count in (1, 2):
            launch(bench, count, Path(folder) / str(count))
            results.append([json.loads(path.read_text()) for path in sorted(Path(folder).glob(f"{count}-*.json"))])
    (one,), two = results
    bench.figures |= {"all_reduce_ms": two[0]["all_reduce_ms"], "contexts": [row["contexts"] for row in two]}
    far = [abs(mine / other - 1) for mine, other in zip(two[0]["losses"], one["losses"], strict=True)]
    bench.figures["loss"] = max(far)
    bench.expect(max(far) <= 1e-5, "two ranks have another loss than one")
    bench.expect(two[0]["weights"] == two[1]["weights"], "the ranks have other weights")
    if bench.is_gpu:
        # None is seen where the processes of a container have other numbers outside.
        bench.expect(all(row["contexts"] <= 1 for row in two), "a rank has a context on more than one GPU")


def scaling(bench: Bench) -> None:
    """A step of the base model on all GPUs of the machine, and the minutes of 100,000 of them."""
    ranks_available(bench)
    count = torch.cuda.device_count() if bench.is_gpu else 2
    with tempfile.TemporaryDirectory() as folder:
        launch(bench, count, Path(folder) / "all", "timed")
        (milliseconds,) = {json.loads(path.read_text())["ms"] for path in Path(folder).glob("all-0.json")}
    minutes = milliseconds * 100_000 / 60_000
    bench.figures |= {"gpus": count, "ms": milliseconds, "minutes": minutes}
    if bench.is_gpu and count == 8:
        bench.expect(minutes <= EIGHT_GPUS, f"{minutes:.0f} minutes on eight GPUs, not {EIGHT_GPUS}")


def lost_rank(bench: Bench) -> None:
    """A rank that is killed in a step: the others end within a minute, and say which one is gone."""
    ranks_available(bench)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "2"
        process = start(bench, 2, out, "endless")
        try:
            while not (pids := sorted(Path(folder).glob("2-*.pid"))) or len(pids) < 2:
                if bench.seconds_left < 5 or process.poll() is not None:
                    raise RuntimeError("the ranks did not begin")
                time.sleep(0.1)
            time.sleep(2.0)
            os.kill(int(pids[1].read_text()), signal.SIGKILL)
            began = time.monotonic()
            _, said = process.communicate(timeout=60)
            bench.figures["seconds"] = time.monotonic() - began
            bench.expect(process.returncode != 0, "the launcher does not fail")
            lines = [line for line in said.splitlines() if "gone" in line]
            bench.figures["said"] = lines[0][:200] if lines else ""
            bench.expect(bool(lines), "no line says that a rank is gone")
        except subprocess.TimeoutExpired:
            bench.failures.append("the ranks did not end within 60 s")
        finally:
            process.terminate()  # the launcher ends its ranks
            process.communicate()


def ranks_available(bench: Bench) -> None:
    """Raise SkippedError where there are not two GPUs."""
    if bench.is_gpu and torch.cuda.device_count() < 2:
        raise SkippedError("needs two GPUs")


def start(bench: Bench, count: int, out: Path, kind: str) -> subprocess.Popen[str]:
    """Start `count` ranks, which write to OUT-RANK.json."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    if kind == "endless":  # the launcher would end the others before they say which rank is gone
        launcher += ["--monitor-interval", "10"]
    command = [*launcher, str(Path(__file__).parent.parent / "gpu_check.py"), "--rank", bench.device, str(out), kind]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def launch(bench: Bench, count: int, out: Path, kind: str = "few") -> None:
    """Run `count` ranks to the end. Raises RuntimeError where one fails."""
    process = start(bench, count, out, kind)
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{count} ranks: {said.strip()[-400:]}")


def be_a_rank(device: str, output: str, kind: str) -> None:
    """Train as one of the ranks, a `few` steps, `endless` ones or `timed` ones; write losses or times.

    Endless steps end after some minutes, or else those whose launcher is killed would not.
    """
    if kind == "timed":
        be_timed(device, Path(output))
        return
    out, ends = Path(output), time.monotonic() + PATIENCE
    place = pick(Bench(device))
    stream_of = partial(StepStream, workload.make_pairs(TINY, STEPS), TINY.tokens, 1)
    with joined() as ranks, joined_gpus(ranks, place):
        updater = make_updater(TINY, place, "float32", dropout=0.0)
        updater.ranks = ranks
        out.with_name(f"{out.name}-{ranks.rank}.pid").write_text(str(os.getpid()))
        losses = []
        steps = stream_of(rank=ranks.rank, ranks=ranks.size).steps(0, 0)
        for number, step in enumerate(steps if kind == "endless" else islice(steps, STEPS), start=1):
            batches = [batch.to(updater.device) for batch in step.micro_batches]
            updater.accumulate(batches, seed=number, smoothing=0.1, tokens=step.target_tokens)
            ranks.any(False)  # as the loop does, before the ranks reduce on their devices
            losses.append(float(updater.apply(number, rate=1e-3, tokens=step.target_tokens).loss))
            if time.monotonic() > ends:
                break
        weights = {"weights": checksum(updater.parameters)}
        ranks.check_equal(weights, "")
        found = {"losses": losses, **weights, **of_all_reduce(ranks, updater.device)}
        out.with_name(f"{out.name}-{ranks.rank}.json").write_text(json.dumps(found))


def be_timed(device: str, out: Path) -> None:
    """Train the base model as one of the ranks; write the median milliseconds of a step."""
    bench = Bench(device, quick=device == "cpu")
    place, size = pick(bench), size_of(bench)
    with joined() as ranks, joined_gpus(ranks, place):
        updater = make_updater(size, place)
        updater.ranks = ranks
        stream = StepStream(workload.make_pairs(size, TIMED), size.tokens, 1, rank=ranks.rank, ranks=ranks.size)
        laps = Laps(place)
        for number, step in enumerate(islice(stream.steps(0, 0), TIMED), start=1):
            batches = [batch.to(place) for batch in step.micro_batches]
            updater.accumulate(batches, seed=number, smoothing=0.1, tokens=step.target_tokens)
            ranks.any(False)
            updater.apply(number, rate=1e-4, tokens=step.target_tokens)
            laps.mark()
        milliseconds = statistics.median(laps.times()[5:])
        out.with_name(f"{out.name}-{ranks.rank}.json").write_text(json.dumps({"ms": milliseconds}))


def of_all_reduce(ranks: Ranks, device: torch.device) -> dict[str, Any]:
    """Return the milliseconds of the sum of the base model's gradients, and the GPUs that this process uses."""
    elements = 63_000_000 if device.type == "cuda" else 63_000
    gradients = torch.zeros(elements, device=device)
    milliseconds = workload.median_ms(device, lambda: ranks.all_reduce(gradients), 5)
    contexts = 0
    if device.type == "cuda":
        query = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
        listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
        contexts = listed.count(str(os.getpid()))
    return {"all_reduce_ms": milliseconds, "contexts": contexts}
