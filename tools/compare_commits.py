"""Compare the artefacts of two commits digest by digest: the gate of a refactoring.

    python tools/compare_commits.py OLD NEW [--recipe recipes/demo.toml ...] [--data-dir DIR] [--steps 60]
        [--precision float32 bfloat16] [--threads 1] [--set KEY=VALUE ...] [--work FOLDER] [--keep]

OLD and NEW are git revisions of the repository in the current folder; "." is its working tree with all changes.
For each recipe, shortened to some steps, and for each precision, the script checks that

- NEW makes the same tokenizer, text, ids, checkpoints, losses, bundle, hypotheses, scores and translations as OLD;
- NEW resumes a run that OLD began, and ends with the same weights and losses as OLD's own uninterrupted run;
- NEW continues a finished run of OLD and changes nothing, and translates with OLD's bundle to the same bytes.

It prints a line for each artefact, and ends with exit code 0 if all are the same, else with 1. Manifests, locks, times
and versions are not compared. With --work, the artefacts of OLD stay in that folder for the next comparison; the files
in --data-dir are then expected not to change.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

Digests = dict[str, str]
"""SHA-256 by the name of an artefact."""

NOT_COMPARED = {
    "manifest.json",
    "lock.json",
    "state.json",
    "config.json",
    "recipe.toml",
    "recipe.given.toml",
    "README.md",
    "times.json",
}
"""Files that say how an artefact was made, with settings, versions and times."""
LOGGED = ("kind", "step", "epoch", "learning_rate", "loss", "gradient_norm", "skipped", "bleu")
"""Fields of the training log that are computed, not measured."""
SOURCE_LINES = 100
TRANSLATIONS = {
    "beam.txt": [],
    "n-best.jsonl": ["--n-best", "4", "--format", "jsonl", "--alignment"],
    "bfloat16.tsv": ["--n-best", "2", "--precision", "bfloat16"],
    "samples.tsv": ["--n-best", "2", "--sample", "--seed", "1"],
}
"""Options of the calls of `nmt translate`, by the file that each writes."""


class CommandError(Exception):
    """A command of nmt failed."""


def report(message: str) -> None:
    """Write progress to standard error."""
    print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


def git(*arguments: str, index: Path | None = None) -> bytes:
    """Return the output of a git command."""
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)} if index else None
    return subprocess.run(["git", *arguments], env=environment, stdout=subprocess.PIPE, check=True).stdout


def check_out(revision: str, folder: Path) -> str:
    """Write the files of a revision, or of the working tree for ".", to a new folder; return the id of their tree."""
    root = git("rev-parse", "--show-toplevel").decode().strip()
    if revision == ".":  # with an index of its own, new files count and nothing is staged
        index = folder.with_suffix(".index")
        git("-C", root, "add", "--all", index=index)
        tree = git("write-tree", index=index).decode().strip()
    else:
        tree = git("rev-parse", "--verify", f"{revision}^{{tree}}").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(git("-C", root, "archive", tree))) as archive:
        archive.extractall(folder, filter="data")
    return tree


def overrides(steps: int) -> list[str]:
    """Return the settings that end a training after `steps` steps, with six checkpoints and two validations."""
    return [
        f"training.max_steps={steps}",
        f"optimizer.warmup_steps={steps // 6}",
        f"training.checkpoint_every={steps // 6}",
        "training.keep_checkpoints=3",
        "training.average_checkpoints=2",
        f"training.validate_every={steps // 2}",
        "training.log_every=1",
        "training.device=cpu",
        "batching.micro_batch_tokens=2048",  # "auto" depends on the free memory
    ]


def logged(path: Path) -> list[dict[str, object]]:
    """Return the lines of a training log, which may still grow, without the measured fields."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key in LOGGED} for line in lines]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; of JSON and of a training log, that of the content which is compared."""
    content = path.read_bytes()
    if path.name == "log.jsonl":
        content = json.dumps(logged(path), sort_keys=True).encode()
    elif path.suffix == ".json":
        content = json.dumps(json.loads(content), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def digests(folder: Path) -> Digests:
    """Return the digests of the artefacts in a folder, by their names in it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_COMPARED]
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def weights_and_losses(folder: Path) -> Digests:
    """Return the digests of the tensors and of the log in a run folder."""
    found = digests(folder)
    return {name: value for name, value in found.items() if name.endswith(".safetensors") or name == "log.jsonl"}


def compare(old: Digests, new: Digests) -> dict[str, str]:
    """Return a verdict for each artefact of either side."""
    verdicts = {name: "same" if old[name] == new[name] else "DIFFERS" for name in old.keys() & new.keys()}
    verdicts |= dict.fromkeys(old.keys() - new.keys(), "only in OLD") | dict.fromkeys(
        new.keys() - old.keys(), "only in NEW"
    )
    return dict(sorted(verdicts.items()))


def source_text(run: Path, recipe: Path) -> str:
    """Return the first lines of the source side of the recipe's first test set, as prepared in a run folder."""
    text = run / "prepared" / "text"
    tests = tomllib.loads(recipe.read_text(encoding="utf-8"))["data"].get("test", {})
    first = min((text / f"test.{next(iter(tests))}" if tests else min(text.glob("test.*"))).glob("*.arrow"))
    with pa.memory_map(str(first)) as file:
        lines = pa.ipc.open_stream(file).read_all().column("source").to_pylist()
    return "".join(f"{line}\n" for line in lines[:SOURCE_LINES])


def cache_key(recipe: Path, settings: argparse.Namespace) -> str:
    """Return a short digest of all that the artefacts of a commit depend on besides its code and the precision."""
    given = [recipe.read_text(encoding="utf-8"), str(settings.data_dir and settings.data_dir.resolve())]
    chosen = [overrides(settings.steps), settings.set, settings.threads, TRANSLATIONS, SOURCE_LINES]
    return hashlib.sha256(json.dumps([given, chosen]).encode()).hexdigest()[:8]


def written(run: Path) -> dict[str, int]:
    """Return when the manifest of each stage was written, by the stage's folder."""
    return {path.parent.relative_to(run).as_posix(): path.stat().st_mtime_ns for path in run.rglob("manifest.json")}


@dataclass(frozen=True)
class Case:
    """The artefacts that a commit makes of a recipe; each is made at its first use, which may raise CommandError."""

    label: str
    checkout: Path
    recipe: Path
    settings: argparse.Namespace
    folder: Path

    @property
    def messages(self) -> Path:
        """The file with the output of the last command."""
        return self.checkout.with_suffix(".log")

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start a command of nmt with the code of the commit."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        threads = dict.fromkeys(names, str(self.settings.threads))
        own = {"PYTHONPATH": str(self.checkout), "NO_COLOR": "1", "NMT_NO_CACHE": "1", "NMT_NO_REPORT": "1"}
        environment = {**os.environ, **threads, **own}
        command = [sys.executable, "-m", "nmt", *map(str, arguments)]
        # `python -m` looks in the current folder first, so that has to be the checkout too.
        with self.messages.open("wb") as file:
            return subprocess.Popen(command, cwd=self.checkout, env=environment, stdout=file, stderr=file)

    def finish(
        self, process: subprocess.Popen[bytes], *, stop_when: Callable[[], bool] = lambda: False, expected: int = 0
    ) -> None:
        """Wait for a command, or stop it by SIGTERM as soon as `stop_when` holds; check its exit code."""
        try:
            while process.poll() is None and not stop_when():
                time.sleep(0.05)
            process.terminate()
            code = process.wait()
        finally:
            process.kill()  # where this script is interrupted; does nothing after the command has ended
        if code != expected:
            last = "\n".join(self.messages.read_text(encoding="utf-8").split("\n")[-20:])
            raise CommandError(f"{self.label}: exit code {code} in place of {expected}\n{last}")

    def options(self, precision: str, run: Path) -> list[str]:
        """Return the arguments of a command that takes the recipe."""
        values = [*overrides(self.settings.steps), f"training.precision={precision}", *self.settings.set]
        data = ["--data-dir", str(self.settings.data_dir.resolve())] if self.settings.data_dir else []
        sets = [word for value in values for word in ("--set", value)]
        return [str(self.checkout / self.recipe), *data, *sets, "--run-dir", str(run)]

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a folder, which is made first if it is missing and appears when it is complete."""
        folder = self.folder / name
        if not folder.exists():
            report(f"{self.label}: making {self.recipe.stem}/{name}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
                make(Path(scratch) / "new")
                (Path(scratch) / "new").rename(folder)
        return folder

    def data(self) -> Path:
        """Return a run folder with prepared data, which serves all precisions."""
        return self.made("data", lambda run: self.finish(self.start("prepare", *self.options("float32", run))))

    def run(self, precision: str, name: str = "run", of: Path | None = None) -> Path:
        """Return the run folder that `nmt run` finishes, from a copy of `of` or from the prepared data."""

        def make(run: Path) -> None:
            shutil.copytree(of or self.data(), run)
            self.finish(self.start("run", *self.options(precision, run)))

        return self.made(f"{precision}/{name}", make)

    def begun(self, precision: str) -> Path:
        """Return a run folder whose training was stopped half-way by SIGTERM, at which it saves."""

        def make(run: Path) -> None:
            shutil.copytree(self.data(), run)
            process = self.start("train", *self.options(precision, run))
            # One line of each step, one of the validation, and one more: between two regular checkpoints.
            lines = self.settings.steps // 2 + 2
            self.finish(process, stop_when=lambda: len(logged(run / "log.jsonl")) >= lines, expected=143)

        return self.made(f"{precision}/begun", make)

    def translations(self, bundle: Path, source: Path, name: str) -> Path:
        """Return a folder with translations of the source text by a bundle."""

        def make(folder: Path) -> None:
            folder.mkdir()
            for file, options in TRANSLATIONS.items():
                self.finish(
                    self.start("translate", bundle, "-i", source, "--device", "cpu", *options, "-o", folder / file)
                )

        return self.made(name, make)


def compare_runs(old: Case, new: Case, precision: str, source: Path) -> tuple[Digests, Digests]:
    """Compare finished runs from their own data, and the translations by their bundles."""
    found = []
    for case in (old, new):
        run = case.run(precision)
        texts = case.translations(run / "model", source, f"{precision}/translations")
        data = digests(case.data())
        found.append({name: value for name, value in digests(run).items() if name not in data} | digests(texts))
    return found[0], found[1]


def compare_resumed(old: Case, new: Case, precision: str, _: Path) -> tuple[Digests, Digests]:
    """Compare OLD's finished run to the run that OLD began and NEW resumed."""
    resumed = new.run(precision, "resumed", of=old.begun(precision))
    return weights_and_losses(old.run(precision)), weights_and_losses(resumed)


def compare_bundle(old: Case, new: Case, precision: str, source: Path) -> tuple[Digests, Digests]:
    """Compare the translations of both by OLD's bundle."""
    bundle = old.run(precision) / "model"
    texts = old.translations(bundle, source, f"{precision}/translations")
    return digests(texts), digests(new.translations(bundle, source, f"{precision}/by-old-bundle"))


def compare_continued(old: Case, new: Case, precision: str, _: Path) -> tuple[Digests, Digests]:
    """Compare OLD's finished run before and after `nmt run` by NEW; print the stages that NEW made again."""
    run = old.run(precision)
    continued = new.run(precision, "continued", of=run)
    before, after = written(run), written(continued)
    again = sorted(stage for stage in after if after[stage] != before.get(stage))
    print(f"{precision} continued: stages made again: {', '.join(again) or 'none'}")
    return digests(run), digests(continued)


PARTS = {
    "run": compare_runs,
    "resumed by NEW": compare_resumed,
    "OLD's bundle": compare_bundle,
    "continued by NEW": compare_continued,
}
"""Comparisons of a precision."""


def compare_recipe(old: Case, new: Case) -> list[str]:
    """Compare all artefacts of a recipe, print a line for each, and return the verdicts."""
    source = new.folder / "source.txt"
    source.write_text(source_text(old.data(), old.checkout / old.recipe), encoding="utf-8", newline="\n")
    parts: dict[str, Callable[[], tuple[Digests, Digests]]]
    parts = {"data": lambda: (digests(old.data()), digests(new.data()))}
    for precision in old.settings.precision:
        old.translations(old.run(precision) / "model", source, f"{precision}/translations")
        old.begun(precision)
        for name, compare_part in PARTS.items():
            parts[f"{precision} {name}"] = partial(compare_part, old, new, precision, source)
    verdicts: list[str] = []
    for title, part in parts.items():
        try:
            found = {f"{title}: {name}": verdict for name, verdict in compare(*part()).items()}
        except CommandError as error:
            report(str(error))
            found = {title: "FAILS"}
        print("".join(f"{verdict:<13}{name}\n" for name, verdict in found.items()), end="", flush=True)
        verdicts += found.values()
    return verdicts


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare the artefacts of two commits digest by digest.")
    parser.add_argument("old", metavar="OLD", help='git revision; "." is the working tree')
    parser.add_argument("new", metavar="NEW", help="likewise")
    parser.add_argument("--recipe", type=Path, nargs="+", default=[Path("recipes/demo.toml")], help="in both commits")
    parser.add_argument("--data-dir", type=Path, help="folder of the recipes' relative file names")
    parser.add_argument("--steps", type=int, default=60, help="steps of each training, at least 12 (default: 60)")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1, help="threads of each process (default: 1)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="more overrides of the recipes")
    parser.add_argument("--work", type=Path, help="folder that keeps the artefacts of OLD for the next comparison")
    parser.add_argument("--keep", action="store_true", help="keep the artefacts of NEW too")
    settings = parser.parse_args()
    if settings.steps < 12:
        parser.error(f"--steps {settings.steps}: at least 12")
    return settings


def main() -> None:
    """Compare the commits that the command line names."""
    settings = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if settings.work:
        settings.work.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="compare-", dir=settings.work)).resolve()
    verdicts: list[str] = []
    try:
        tree = check_out(settings.old, scratch / "OLD")
        check_out(settings.new, scratch / "NEW")
        for recipe in settings.recipe:
            print(f"{recipe}: OLD {settings.old}, NEW {settings.new}, {settings.steps} steps", flush=True)
            key = cache_key(scratch / "OLD" / recipe, settings)
            kept = (settings.work or scratch).resolve() / f"{recipe.stem}-{tree[:12]}-{key}"
            fresh = scratch / recipe.stem
            fresh.mkdir()
            old = Case("OLD", scratch / "OLD", recipe, settings, kept)
            verdicts += compare_recipe(old, Case("NEW", scratch / "NEW", recipe, settings, fresh))
    except CommandError as error:
        sys.exit(str(error))
    finally:
        if settings.keep:
            report(f"kept: {scratch}")
        else:
            shutil.rmtree(scratch)
    others = sum(verdict != "same" for verdict in verdicts)
    print(f"{len(verdicts)} artefacts: " + (f"{others} not the same" if others else "all the same"))
    sys.exit(others > 0)


if __name__ == "__main__":
    main()
