"""Time training, translation and preparation on a machine that is also in use, with OpenMP as nmt sets it or not.

    python benchmarks/busy.py --run-dir RUN [--work train] [--conditions quiet,one,two] [--rounds 3] [--json FILE]

RUN is a finished run folder. A process for each setting of OpenMP is started once, and computes for some seconds
whenever it is told to; settings take turns under each condition, round by round. Figures are medians of target tokens
a second, of lines a second, and for preparation of runs a minute.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from training import TOKENS_PER_STEP, nmt_update, write_record

from nmt.cores import NUMBER, WAITING, configure_openmp, control_groups

BUSY = {"quiet": 0, "one": 1, "two": 2, "nice": 1, "core": 0, "quota": 0}
"""Busy processes beside each condition: `nice` is nmt under `nice -n 19`, `core` under `taskset -c 0`, `quota` in a
control group that allows the time of one core on all of them."""
PREFIXES = {"nice": ["nice", "-n", "19"], "core": ["taskset", "-c", "0"]}
GROUP = "nmt-busy"
LINES = 40  # of a call of the translator


def environment(setting: str) -> dict[str, str]:
    """Return the environment of a process: `now` as nmt sets OpenMP, `former` as it is by default, or a spin count."""
    kept = {key: value for key, value in os.environ.items() if key not in {NUMBER, "OMP_WAIT_POLICY", *WAITING}}
    if setting == "former":  # counts the cores of the affinity, and knows no quota
        return kept | {"GOMP_SPINCOUNT": "300000"}
    return kept if setting == "now" else kept | {"GOMP_SPINCOUNT": setting}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes busy in the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def quota() -> Iterator[list[str]]:
    """Make a control group with the time of one core; yield the command that runs another one in it. Raises OSError."""
    group = next(control_groups("cpu")) / GROUP
    group.mkdir()
    try:
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text("100000 100000")
        else:
            (group / "cpu.cfs_quota_us").write_text("100000")
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        with suppress(OSError):
            group.rmdir()


def train(run: Path, precision: str) -> Iterator[int]:
    """Take updates; yield the target tokens of each."""
    import torch

    from nmt.data.encoding.dataset import PreparedPairs
    from nmt.data.encoding.steps import StepStream
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.runtime import bound_kernels, keep_freed_memory

    keep_freed_memory()
    bound_kernels()
    torch.manual_seed(1)
    update = nmt_update(Tokenizer.load(run / "tokenizer").target_size, precision)
    stream = StepStream(PreparedPairs(run / "prepared" / "ids" / "train"), TOKENS_PER_STEP, 1)
    for step in stream.from_position(0, 0):
        for batch in step.micro_batches:
            update(batch)
        yield step.target_tokens


def translate(run: Path) -> Iterator[int]:
    """Translate lines of the training text in float32; yield the lines of each call."""
    from nmt import Translator
    from nmt.data.cleaning.corpus_text import read_text

    translator = Translator.load(run / "model", device="cpu")
    sources, _ = read_text(run / "prepared" / "text", "train")
    while True:
        for start in range(0, len(sources), LINES):
            translator.translate(sources[start : start + LINES])
            yield len(sources[start : start + LINES])


def serve(units: Iterator[int]) -> None:
    """Work whenever a line of standard input says for how many seconds, and print the units a second."""
    for _ in range(3):
        next(units)
    print("ready", flush=True)
    for line in sys.stdin:
        began, done = time.perf_counter(), 0
        while (seconds := time.perf_counter() - began) < float(line):
            done += next(units)
        print(done / seconds, flush=True)


class Worker:
    """A process that trains or translates when it is told to."""

    def __init__(self, work: str, options: argparse.Namespace, setting: str, prefix: list[str]) -> None:
        command = [*prefix, sys.executable, __file__, "--worker", work, "--run-dir", str(options.run_dir)]
        command += ["--precision", options.precision]
        self.process = subprocess.Popen(
            command, env=environment(setting), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def prepare(self) -> None:
        """Wait for the end of the warm-up."""
        self.answer()

    def answer(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            sys.exit("a worker has ended")
        return line

    def measure(self, seconds: float) -> float:
        """Return the units a second, in that many seconds."""
        assert self.process.stdin
        self.process.stdin.write(f"{seconds}\n")
        return float(self.answer())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Preparation:
    """`nmt prepare` of the recipe of a run into an empty folder, from start to end."""

    def __init__(self, options: argparse.Namespace, setting: str, prefix: list[str]) -> None:
        self.command = [*prefix, sys.executable, "-m", "nmt", "prepare", str(options.run_dir / "recipe.toml")]
        self.command += ["--no-cache"]
        self.command += ["--data-dir", str(options.data_dir)] if options.data_dir else []
        if setting == "former":
            self.command += ["--workers", "1" if "taskset" in prefix else str(len(os.sched_getaffinity(0)))]
        self.environment = environment(setting)

    def measure(self, _: float) -> float:
        """Return the runs a minute."""
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            command = [*self.command, "--run-dir", f"{folder}/run"]
            subprocess.run(command, env=self.environment, check=True, capture_output=True)
            return 60 / (time.perf_counter() - began)

    def prepare(self) -> None:
        """Do nothing: each measurement starts a process."""

    def end(self) -> None:
        """Do nothing: no process is left."""


def measure(work: str, options: argparse.Namespace, conditions: list[str]) -> dict[str, dict[str, list[float]]]:
    """Return the figures of each condition and setting, one a round."""
    settings: list[str] = options.settings.split(",")
    with ExitStack() as stack:
        prefixes = {**PREFIXES, "quota": stack.enter_context(quota())} if "quota" in conditions else PREFIXES
        workers: dict[tuple[str, ...], Worker | Preparation] = {}
        for condition in conditions:
            prefix = prefixes.get(condition, [])
            for setting in settings:
                if (setting, *prefix) not in workers:
                    kind = Preparation(options, setting, prefix) if work == "prepare" else None
                    workers[setting, *prefix] = worker = kind or Worker(work, options, setting, prefix)
                    stack.callback(worker.end)
        for worker in workers.values():
            worker.prepare()
        found: dict[str, dict[str, list[float]]] = {name: {each: [] for each in settings} for name in conditions}
        for number in range(options.rounds):
            for condition in conditions:
                with busy(BUSY[condition]):
                    for setting in settings[:: 1 if number % 2 else -1]:
                        worker = workers[setting, *prefixes.get(condition, [])]
                        found[condition][setting].append(figure := worker.measure(options.seconds))
                        print(f"{work} {number + 1} {condition} {setting} {figure:,.4g}", file=sys.stderr, flush=True)
    return found


def show(work: str, found: dict[str, dict[str, list[float]]]) -> None:
    """Print the medians, and their shares of the first setting under the first condition."""
    settings = list(next(iter(found.values())))
    mark = statistics.median(next(iter(found.values()))[settings[0]])
    print(f"| {work} | {' | '.join(f'{setting} | share' for setting in settings)} |")
    print(f"|{'---|' * (2 * len(settings) + 1)}")
    for condition, row in found.items():
        medians = [statistics.median(row[setting]) for setting in settings]
        print(f"| {condition} | {' | '.join(f'{value:,.4g} | {value / mark:.0%}' for value in medians)} |", flush=True)


def main() -> None:
    """Measure the kinds of work under the conditions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, help="where the files of RUN's recipe are, for preparation")
    parser.add_argument("--work", default="train,translate,prepare")
    parser.add_argument("--conditions", default=",".join(BUSY))
    parser.add_argument("--settings", default="former,now", help="former, now, or values of GOMP_SPINCOUNT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--precision", default="bfloat16", help="of training")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        configure_openmp()
        serve(train(options.run_dir, options.precision) if options.worker == "train" else translate(options.run_dir))
        return
    conditions, left_out = options.conditions.split(","), {}
    if "quota" in conditions:
        try:
            with quota():
                pass
        except (OSError, StopIteration) as error:
            conditions.remove("quota")
            left_out["quota"] = f"no control group can be made: {error}"
            print(f"quota is left out: {left_out['quota']}", file=sys.stderr)
    figures: dict[str, dict[str, Any]] = {}
    for work in options.work.split(","):
        figures[work] = measure(work, options, conditions)
        show(work, figures[work])
    if options.json:
        settings = {key: getattr(options, key) for key in ("settings", "rounds", "seconds", "precision")}
        write_record(options.json, figures, left_out, {**settings, "threads": len(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
