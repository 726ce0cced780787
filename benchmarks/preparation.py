"""Time preparation: raw gzip text to ids, beside fairseq's pipeline; memory of millions of pairs; plans and opening.

    python benchmarks/preparation.py --source A.en.gz B.en.gz --target A.de.gz B.de.gz [--rounds 3] [--json FILE]
    python benchmarks/preparation.py --scale 1 5 --plan 50 --open 50

The first compares: nmt's stages from the files to ids, and fairseq's SentencePiece script, Moses' clean-corpus-n.perl
and fairseq-preprocess, in turns, with the same tokenizer, which is trained beforehand. The second measures nmt alone,
on as many millions of generated pairs, all different: time and peak memory of preparing them, of planning an epoch,
and of opening what was prepared. `make bench-peers` installs fairseq; `--fairseq` and `--moses` name other checkouts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training import write_record

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"

RECIPE = """\
name = "bench"
[languages]
source = "en"
target = "de"
[data.train]
source = {source}
target = {target}
[data.dev]
source = {dev_source}
target = {dev_target}
[data.test.test]
source = {dev_source}
target = {dev_target}
[tokenizer]
vocab_size = {vocabulary}
"""
DEV = 1000
"""Pairs of dev and test, which are generated."""
MILLION = 1_000_000

Seconds = dict[str, float]


# What is measured of a process and its children.


class Memory:
    """Peak memory of the children, in MiB, what they share counted once: in all, and without mapped files."""

    def __init__(self) -> None:
        self.peaks = {"Pss": 0, "Pss_Anon": 0}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.25):
            now = [proportional_memory(process) for process in children(os.getpid())]
            for field, peak in self.peaks.items():
                self.peaks[field] = max(peak, round(sum(found.get(field, 0) for found in now) / 1024))

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def children(process: int) -> Iterator[int]:
    """Yield the numbers of a process's children and theirs."""
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = [int(number) for number in path.read_text(encoding="ascii").split()]
        except OSError:
            continue
        for child in found:
            yield child
            yield from children(child)


def proportional_memory(process: int) -> dict[str, int]:
    """Return the memory of a process in KiB, of what it shares with others its part."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").split("\n")
    except OSError:
        return {}
    return {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines if line.startswith("Pss")}


@contextmanager
def timed(seconds: Seconds, name: str) -> Iterator[None]:
    """Note how long the block took."""
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began


def run(command: list[Any], **options: Any) -> None:
    """Run a command in silence; what it said is shown where it fails."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout.decode()[-2000:]}")


# The contestants: raw gzip files and a tokenizer in, ids out.


def write_recipe(folder: Path, sources: list[Path], targets: list[Path], vocabulary: int) -> Path:
    """Write the recipe of the benchmark, with generated dev and test."""
    from nmt.tasks.grammar import generate

    for side, lines in zip(("en", "de"), zip(*generate("dev", DEV, 1), strict=True), strict=True):
        (folder / f"dev.{side}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    names = {
        "source": json.dumps([str(path.absolute()) for path in sources]),
        "target": json.dumps([str(path.absolute()) for path in targets]),
        "dev_source": json.dumps(str(folder / "dev.en")),
        "dev_target": json.dumps(str(folder / "dev.de")),
    }
    path = folder / "bench.toml"
    path.write_text(RECIPE.format(**names, vocabulary=vocabulary), encoding="utf-8")
    return path


def run_nmt(folder: Path, recipe: Path, workers: int) -> tuple[Seconds, int]:
    """Clean and encode; return the seconds of each stage and the pairs that came out."""
    run_folder, seconds = folder / "nmt", Seconds()
    shutil.rmtree(run_folder / "prepared", ignore_errors=True)
    command = [Path(sys.executable).parent / "nmt", "prepare", recipe, "--run-dir", run_folder, "--workers", workers]
    command.append("--no-cache")
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    step = "start"
    for line in process.stderr:  # each stage says when it begins
        stage, separator, _ = line.partition(": running")
        if separator:
            seconds[step] = time.perf_counter() - began - sum(seconds.values())
            step = stage
    if process.wait():
        sys.exit("nmt prepare failed")
    seconds[step] = time.perf_counter() - began - sum(seconds.values())
    seconds["all"] = sum(seconds.values())
    manifests = [json.loads((run_folder / "prepared" / name / "manifest.json").read_text()) for name in ("text", "ids")]
    return seconds, manifests[1]["counts"]["pairs"]["train"]


def run_fairseq(
    folder: Path, sources: list[Path], targets: list[Path], fairseq: Path, moses: Path
) -> tuple[Seconds, int]:
    """Run the usual pipeline, each step with all it can use of two cores; return the seconds of each and the pairs."""
    work, seconds = folder / "fairseq", Seconds()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    python = PEERS / "fairseq" / "bin" / "python"
    environment = {**os.environ, "PYTHONPATH": str(fairseq)}
    model = folder / "nmt" / "tokenizer" / "tokenizer.model"
    with timed(seconds, "gunzip"):
        for side, paths in (("en", sources), ("de", targets)):
            run(["sh", "-c", f"zcat {' '.join(map(str, paths))} > {work}/raw.{side}"])
    with timed(seconds, "spm_encode"):  # a process a side
        encode = [
            subprocess.Popen(
                [
                    *(python, fairseq / "scripts" / "spm_encode.py", "--model", model),
                    *("--inputs", work / f"raw.{side}", "--outputs", work / f"spm.{side}"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            for side in ("en", "de")
        ]
        if any(process.wait() for process in encode):
            sys.exit("spm_encode.py failed")
    with timed(seconds, "clean-corpus-n"):
        script = moses / "scripts" / "training" / "clean-corpus-n.perl"
        run(["perl", script, "-ratio", 4, work / "spm", "en", "de", work / "clean", 1, 250])
    with timed(seconds, "fairseq-preprocess"):
        launcher = ROOT / "benchmarks" / "peers" / "fairseq_preprocess.py"
        options = [
            "--source-lang",
            "en",
            "--target-lang",
            "de",
            "--trainpref",
            work / "clean",
            "--destdir",
            work / "bin",
        ]
        run([python, launcher, *options, "--joined-dictionary", "--workers", 2], env=environment)
    seconds["all"] = sum(seconds.values())
    with (work / "clean.en").open("rb") as file:
        return seconds, sum(1 for _ in file)


def compare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Let the contestants take turns; return the medians."""
    raw = 0
    for path in arguments.source:
        with gzip.open(path) as file:
            raw += sum(1 for _ in file)
    recipe = write_recipe(folder, arguments.source, arguments.target, arguments.vocabulary)
    print("training the tokenizer", file=sys.stderr)
    run([Path(sys.executable).parent / "nmt", "tokenizer", "train", recipe, "--run-dir", folder / "nmt"])
    contestants: dict[str, Callable[[], tuple[Seconds, int]]] = {
        "nmt": lambda: run_nmt(folder, recipe, arguments.workers)
    }
    if (PEERS / "fairseq" / ".ready").exists() and shutil.which("perl") and arguments.moses.exists():
        contestants["fairseq"] = lambda: run_fairseq(
            folder, arguments.source, arguments.target, arguments.fairseq, arguments.moses
        )
    else:
        print("fairseq, Moses or perl is missing: make bench-peers", file=sys.stderr)
    rounds: dict[str, list[Seconds]] = {name: [] for name in contestants}
    kept: dict[str, int] = {}
    for number in range(arguments.rounds):
        for name, contestant in contestants.items():
            seconds, kept[name] = contestant()
            rounds[name].append(seconds)
            print(f"round {number + 1}: {name} {seconds['all']:.1f} s", file=sys.stderr)
    found: dict[str, Any] = {"raw pairs": raw}
    for name, results in rounds.items():
        middle = {step: statistics.median(result[step] for result in results) for step in results[0]}
        found[name] = {"seconds": middle, "pairs": kept[name], "raw pairs a second": raw / middle["all"]}
    print(f"{'':<10} {'seconds':>8} {'raw pairs/s':>12} {'kept':>10}  share of the steps")
    for name in rounds:
        value = found[name]
        steps = ", ".join(f"{s} {t / value['seconds']['all']:.0%}" for s, t in value["seconds"].items() if s != "all")
        total = value["seconds"]["all"]
        print(f"{name:<10} {total:>8.1f} {value['raw pairs a second']:>12,.0f} {value['pairs']:>10,}  {steps}")
    return found


# Millions of pairs.


def generate_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """Write `count` distinct pairs of invented words with the frequencies of a language (Zipf), 4 to 40 per line."""
    import numpy as np

    rng = np.random.default_rng(1)
    syllables = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", "l", "n", "r", "s", "t")]
    words = np.array(["".join(rng.choice(syllables, rng.integers(1, 5))) for _ in range(50_000)])
    chances = 1 / np.arange(10, len(words) + 10)
    chances /= chances.sum()
    paths = folder / f"{count}.en.gz", folder / f"{count}.de.gz"
    with gzip.open(paths[0], "wb", 1) as source, gzip.open(paths[1], "wb", 1) as target:
        for start in range(0, count, 50_000):
            rows = min(50_000, count - start)
            sizes = np.clip(rng.lognormal(2.5, 0.6, rows), 4, 40).astype(int)
            for number, drawn in enumerate(
                np.split(rng.choice(len(words), sizes.sum(), p=chances), sizes.cumsum()[:-1])
            ):
                chosen = words[drawn].tolist()
                source.write(f"{' '.join(chosen)} {start + number}\n".encode())
                target.write(f"{start + number} {' '.join(reversed(chosen))}\n".encode())
    return paths


def scale(millions: list[float], folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Prepare ever more pairs, the tokenizer trained on a sample of 200,000 lines."""
    found: list[dict[str, Any]] = []
    for size in millions:
        count = round(size * MILLION)
        print(f"generating {count:,} pairs", file=sys.stderr)
        source, target = generate_pairs(folder, count)
        work = folder / f"scale-{count}"
        work.mkdir()
        recipe = write_recipe(work, [source], [target], arguments.vocabulary)
        nmt = [Path(sys.executable).parent / "nmt"]
        seconds = Seconds()
        sample = [
            "--set",
            "tokenizer.sample_sentences=200000",
            "--run-dir",
            work / "run",
            "--workers",
            arguments.workers,
            "--no-cache",
        ]
        with Memory() as memory, timed(seconds, "text"):
            run([*nmt, "tokenizer", "train", recipe, *sample])
        with Memory() as memory_ids, timed(seconds, "ids"):
            run([*nmt, "prepare", recipe, *sample])
        manifest = work / "run" / "prepared" / "ids" / "manifest.json"
        kept = json.loads(manifest.read_text(encoding="utf-8"))["counts"]["pairs"]["train"]
        result = {
            "pairs": count,
            "kept": kept,
            "seconds": seconds,
            "peak MiB": {"text and tokenizer": memory.peaks, "ids": memory_ids.peaks},
        }
        print(json.dumps(result))
        found.append(result)
        shutil.rmtree(work)
    return found


MEASURE = """
import json, sys, time
from pathlib import Path
from nmt.runtime import process_memory, reset_peak_memory
{setup}
reset_peak_memory()
before, own, began = process_memory("VmRSS"), process_memory("RssAnon"), time.perf_counter()
{work}
found = {{"seconds": time.perf_counter() - began}}
found["peak MiB more"] = (process_memory("VmHWM") - before) / 2**20
found["MiB kept, mapped files aside"] = (process_memory("RssAnon") - own) / 2**20
print(json.dumps({{**found, {facts}}}))
"""


def measured(setup: str, work: str, facts: str) -> dict[str, Any]:
    """Time `work` in a process of its own, with the peak of its memory."""
    code = MEASURE.format(setup=setup, work=work, facts=facts)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def plan(millions: float) -> dict[str, Any]:
    """Plan an epoch of that many million sentences of random lengths."""
    setup = f"""
import numpy as np
from nmt.data.encoding.batching import steps_of_epoch
rng = np.random.default_rng(1)
src = np.empty({round(millions * MILLION)}, np.uint8)
tgt = np.empty_like(src)
for start in range(0, len(src), 1_000_000):
    part = slice(start, start + 1_000_000)
    src[part] = np.clip(rng.lognormal(3.2, 0.6, len(src[part])), 1, 250)
    tgt[part] = np.clip(src[part] * rng.uniform(0.7, 1.4, len(src[part])), 1, 250)
"""
    return measured(setup, "steps = steps_of_epoch(src, tgt, 25_000, seed=1, epoch=0)", '"steps": len(steps)')


def open_prepared(millions: float, folder: Path) -> dict[str, Any]:
    """Open that many million prepared pairs, copies of one shard of 50,000."""
    import numpy as np
    import pyarrow as pa

    from nmt.data.shards import ROWS, SHARD, shard_path, write_shard

    rng = np.random.default_rng(1)
    ids = pa.list_(pa.uint16())
    schema = pa.schema([("src", ids), ("tgt", ids), ("src_length", pa.uint16()), ("tgt_length", pa.uint16())])

    def batches() -> Iterator[list[Any]]:
        for _ in range(SHARD // ROWS):
            sides = [[rng.integers(4, 16_000, size) for size in rng.integers(5, 40, ROWS)] for _ in range(2)]
            yield [*sides, *([len(row) for row in side] for side in sides)]

    prepared = folder / "opened"
    write_shard(shard_path(prepared, 0), schema, "train", batches())
    for number in range(1, round(millions * MILLION / SHARD)):
        shutil.copyfile(shard_path(prepared, 0), shard_path(prepared, number))
    return measured(
        "from nmt.data.encoding.dataset import PreparedPairs",
        f"pairs = PreparedPairs(Path({str(prepared)!r}))",
        '"pairs": len(pairs), "index MiB": (pairs.src_lengths.nbytes + pairs.tgt_lengths.nbytes) / 2**20',
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, nargs="+", help="gzip files")
    parser.add_argument("--target", type=Path, nargs="+", help="their translations")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=16_000)
    parser.add_argument("--fairseq", type=Path, default=PEERS / "fairseq-checkout")
    parser.add_argument("--moses", type=Path, default=PEERS / "moses-checkout")
    parser.add_argument("--scale", type=float, nargs="+", metavar="MILLIONS", help="prepare this many generated pairs")
    parser.add_argument("--plan", type=float, metavar="MILLIONS", help="plan an epoch of this many sentences")
    parser.add_argument("--open", type=float, metavar="MILLIONS", help="open this many prepared pairs")
    parser.add_argument("--folder", type=Path, help="for temporary files, of which there may be many GB")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if bool(arguments.source) != bool(arguments.target):
        parser.error("--source and --target go together")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nmt-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        if arguments.source:
            found["comparison"] = compare(arguments, folder)
        if arguments.plan:
            found["plan"] = plan(arguments.plan)
            print("plan", json.dumps(found["plan"]))
        if arguments.open:
            found["open"] = open_prepared(arguments.open, folder)
            print("open", json.dumps(found["open"]))
        if arguments.scale:
            found["scale"] = scale(arguments.scale, folder, arguments)
    if arguments.json:
        settings = {"threads": arguments.workers, "rounds": arguments.rounds, "vocabulary": arguments.vocabulary}
        write_record(arguments.json, found, {}, settings)


if __name__ == "__main__":
    main()
