"""Kill runs at random instants, and run two at once in a folder: the end has to be that of a run left alone.

    python tools/kills.py [--kills 54] [--doubles 20] [--seed 1] [--steps 30] [--work FOLDER]

A tiny recipe is run once as a whole. Then runs of it get SIGKILL, SIGTERM, SIGINT or SIGHUP at a random instant and are
started again, until as many signals as asked for have hit a running process; and two runs are started in one folder,
as often as asked for. Each folder has to end with the same bytes as the whole run, without a file more or less; a
signal has to end the process by its exit code, the second of two runs by exit code 4 and one line, and nothing may show
a traceback or hang. The script prints a line for each fault, then the counts, and ends with exit code 1 if there
was a fault.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

RECIPE = """\
name = "tiny"
[languages]
source = "en"
target = "de"
[data.train]
builtin = "train"
pairs = 800
[data.dev]
builtin = "dev"
pairs = 4
[data.test.test]
builtin = "test"
pairs = 4
[cleaning]
max_pieces = 62
[tokenizer]
vocab_size = 400
[model]
d_model = 32
heads = 2
ffn = 64
encoder_layers = 1
decoder_layers = 1
max_length = 64
[batching]
tokens_per_step = 1000
[optimizer]
learning_rate = 1e-2
warmup_steps = 20
[training]
max_steps = STEPS
checkpoint_every = 5
average_checkpoints = 2
validate_every = 10
log_every = 1
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE = 120  # seconds after which a process that should have ended counts as hung
MEASURED = {
    "log.jsonl",
    "lock.json",
    "model/lock.json",
    "model/manifest.json",
    "evaluation/times.json",
    "report.html",
    "report.json",
}
"""Files that hold times, or the digest of one that does."""
IN_USE = 4  # exit code of a run in a folder that is in use
PYTHON = 'File "<frozen site>"'  # in the traceback of Python itself, of a signal before nmt's first line


def start(recipe: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nmt", "run", str(recipe), "--run-dir", str(folder), "--no-cache"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> tuple[int | None, str]:
    """Wait for a process; return its exit code, None where it hangs, and what it said."""
    try:
        said = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        return None, process.communicate()[1].decode(errors="replace")
    return process.returncode, said


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files under `folder` by name; of those that hold times, the names alone."""
    names = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: b"" if name in MEASURED else path.read_bytes() for name, path in names.items()}


def differences(folder: Path, whole: Path) -> list[str]:
    """Return the names of the files that differ, or that only one of two run folders has."""
    here, there = contents(folder), contents(whole)
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


def fault_of_kill(number: signal.Signals, code: int | None, said: str) -> str:
    """Return what is wrong with the end of a process that got signal `number`; empty where nothing is."""
    if code is None:
        return "hangs"
    if PYTHON in said:
        return ""
    if "Traceback" in said:
        return f"a traceback: {said.strip().splitlines()[-1]}"
    if code not in (0, -number, 128 + number):
        return f"exit code {code}: {said.strip().splitlines()[-1:]}"
    return ""


def fault_of_double(ends: list[tuple[int | None, str]]) -> str:
    """Return what is wrong with the ends of two runs in one folder; empty where nothing is."""
    if any("Traceback" in said for _, said in ends):
        return "a traceback"
    codes = sorted((code is None, code or 0) for code, _ in ends)
    if codes not in ([(False, 0), (False, 0)], [(False, 0), (False, IN_USE)]):
        return f"exit codes {[code for code, _ in ends]}"
    refused = [said.strip().splitlines() for code, said in ends if code == IN_USE]
    if any(len(lines) != 1 or " in use by process " not in lines[0] for lines in refused):
        return f"says {refused[0]}"
    return ""


class Trial:
    """The whole run, and what other runs of its recipe came to."""

    def __init__(self, work: Path, steps: int, seed: int) -> None:
        """Run the recipe as a whole in `work`."""
        self.work, self.random = work, random.Random(seed)
        self.counts, self.faults = Counter[str](), list[str]()
        self.recipe, self.whole = work / "tiny.toml", work / "whole"
        self.recipe.write_text(RECIPE.replace("STEPS", str(steps)), encoding="utf-8")
        began = time.monotonic()
        code, said = end(start(self.recipe, self.whole))
        self.seconds = time.monotonic() - began
        if code != 0:
            sys.exit(f"the whole run failed: {said}")

    def note(self, what: str, fault: str) -> None:
        if fault:
            self.faults.append(f"{what}: {fault}")
            print(self.faults[-1], flush=True)

    def compare(self, folder: Path) -> None:
        self.counts["folders compared"] += 1
        self.note(folder.name, ", ".join(differences(folder, self.whole)))

    def kill(self, kills: int) -> None:
        """Send signals to runs, `kills` times to one that still runs, and compare each folder that is finished."""
        done = 0
        for number in range(10 * kills):
            folder, finished = self.work / f"killed-{number}", False
            while not finished:
                process = start(self.recipe, folder)
                if done < kills:
                    time.sleep(self.random.uniform(0, self.seconds))
                    if process.poll() is None:
                        how = self.random.choice(SIGNALS)
                        process.send_signal(how)
                        done += 1
                        self.counts[how.name] += 1
                        code, said = end(process)
                        self.counts["ended by Python itself"] += PYTHON in said
                        self.note(f"kill {done}, {how.name}", fault_of_kill(how, code, said))
                        finished = code == 0
                        continue
                code, said = end(process)
                self.note(folder.name, "" if code == 0 else f"exit code {code}: {said.strip().splitlines()[-1:]}")
                finished = True
            self.compare(folder)
            if done == kills:
                return

    def double(self, doubles: int) -> None:
        """Start two runs in one folder, the second up to a run's time after the first."""
        for number in range(doubles):
            folder = self.work / f"double-{number}"
            first = start(self.recipe, folder)
            time.sleep(self.random.choice((0.0, self.random.uniform(0, 1.2 * self.seconds))))
            ends = [end(process) for process in (start(self.recipe, folder), first)]
            self.note(folder.name, fault_of_double(ends))
            self.counts["second runs refused"] += any(code == IN_USE for code, _ in ends)
            self.compare(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=54)
    parser.add_argument("--doubles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)  # a shell may have it ignored, and so would the runs
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        trial = Trial(options.work or Path(scratch), options.steps, options.seed)
        trial.kill(options.kills)
        trial.double(options.doubles)
    print(f"whole run {trial.seconds:.1f} s; " + ", ".join(f"{name} {count}" for name, count in trial.counts.items()))
    print(f"faults: {len(trial.faults)}")
    sys.exit(bool(trial.faults))


if __name__ == "__main__":
    main()
