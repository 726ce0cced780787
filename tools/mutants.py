"""Test the tests: how many mutants of a module does its own unit file kill?

    python tools/mutants.py nmt/training/loss.py nmt/inference/search.py
    make mutants

Cosmic Ray lists the mutants of a module: a changed constant, comparison, operator, condition, or loop. A number of
them is drawn by a fixed seed, each is put into a copy of the checkout, and the unit file of the module is run there. A
mutant that no test notices is printed with its difference. Mutants of annotations are left out, and so are those in
`tools/equivalent_mutants.txt`, which change nothing that a caller could see; that file gives the reasons.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "tools" / "equivalent_mutants.txt"
SEED = 1
MODULES = [
    "inference/search",
    "training/loss",
    "training/updater",
    "data/encoding/batching",
    "data/cleaning/filters",
    "advice/choices",
    "inference/alignment",
    "training/checkpoint",
]
"""The modules that `make mutants` tests."""


@dataclass(frozen=True)
class Mutant:
    """A changed module."""

    line: int
    code: str
    difference: str
    """The line before and after without comments, as in `a < b -> a <= b`."""


class _WithoutAnnotations(ast.NodeTransformer):
    """Takes annotations and docstrings, which no test could see, off a tree."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.Assign(targets=[node.target], value=node.value or ast.Constant(None))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def meaning(code: str) -> str | None:
    """Return what `code` does, whatever its annotations; None where it is no Python."""
    try:
        return ast.dump(_WithoutAnnotations().visit(ast.parse(code)))
    except SyntaxError:
        return None


def mutants(module: Path, equivalent: set[str]) -> list[Mutant]:
    """Return the mutants of `module` that a test could notice."""
    source = module.read_text(encoding="utf-8")
    lines, before = source.splitlines(), meaning(source)
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder) / "work.sqlite"), WorkDB.Mode.create) as work:
        init([module], work, {})
        specs = [item.mutations[0] for item in work.work_items]
    found = []
    for spec in sorted(specs, key=lambda spec: (spec.start_pos, spec.operator_name, spec.occurrence)):
        try:
            code = mutate_code(source, get_operator(spec.operator_name)(), spec.occurrence)
        except AttributeError:  # Cosmic Ray 8.7.0 cannot replace exceptions with a dotted name
            continue
        if code is None or meaning(code) in (None, before):
            continue
        number = spec.start_pos[0]
        changed = next((new for new, old in zip(code.splitlines(), lines, strict=False) if new != old), "")
        difference = " -> ".join(line.partition("  # ")[0].strip() for line in (lines[number - 1], changed))
        if f"{module.relative_to(ROOT)}: {difference}" not in equivalent:
            found.append(Mutant(number, code, difference))
    return found


def tests_of(module: Path) -> Path:
    """Return the unit tests of `module`: a file, or a folder of that name."""
    parts = module.relative_to(ROOT / "nmt").with_suffix("").parts
    path = ROOT / "tests" / "unit" / Path(*parts[:-1], f"test_{parts[-1]}.py")
    if not path.is_file():
        raise SystemExit(f"{module}: no unit tests at {path}")
    return path


def is_killed(command: list[str], checkout: Path, limit: float) -> bool:
    """Return whether the tests fail in `checkout`, or take longer than `limit` seconds."""
    environ = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=checkout, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(limit) != 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return True


def examine(module: Path, count: int, equivalent: set[str]) -> tuple[int, list[Mutant]]:
    """Draw `count` mutants of `module`; return how many were tried, and those that survive its unit tests."""
    found = mutants(module, equivalent)
    drawn = sorted(random.Random(SEED).sample(found, min(count, len(found))), key=lambda mutant: mutant.line)
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "nmt"
        for name in ("nmt", "tests", "recipes"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", checkout)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-p",
            "no:cacheprovider",
            str(tests_of(module).relative_to(ROOT)),
        ]
        start = time.monotonic()
        if is_killed(command, checkout, 600):
            raise SystemExit(f"{module}: its unit tests fail as it is: {' '.join(command[1:])}")
        limit = 10 + 5 * (time.monotonic() - start)
        for mutant in drawn:
            (checkout / module.relative_to(ROOT)).write_text(mutant.code, encoding="utf-8")
            if not is_killed(command, checkout, limit):
                survivors.append(mutant)
                print(f"survived: {module.relative_to(ROOT)}:{mutant.line}: {mutant.difference}", flush=True)
    return len(drawn), survivors


def main() -> None:
    """Examine the modules that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", type=Path, default=[ROOT / "nmt" / f"{name}.py" for name in MODULES])
    parser.add_argument("--count", type=int, default=40, help="mutants of each module (40)")
    options = parser.parse_args()
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    equivalent = {line for line in lines if line and not line.startswith("#")}
    tried = survived = 0
    for module in options.modules:
        number, survivors = examine(module.resolve(), options.count, equivalent)
        tried, survived = tried + number, survived + len(survivors)
        print(f"{module}: {number - len(survivors)} of {number} mutants killed", flush=True)
    print(f"in all: {tried - survived} of {tried} mutants killed ({1 - survived / max(tried, 1):.0%})")


if __name__ == "__main__":
    main()
