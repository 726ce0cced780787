"""Check and measure nmt's GPU path on this machine, in ten minutes at most.

    python benchmarks/gpu_check.py [--only a,b] [--budget 600] [--list]
    python benchmarks/gpu_check.py --device cpu --quick

Prints one line of JSON a check: `name`, `status` (ok, failed, skipped), `seconds`, `figures`, `reason`. Exit codes: 0
where no check failed, 1 where one did, 2 where there is no GPU or the arguments are wrong. It needs PyTorch (2.11 or
newer), numpy and pydantic; a check that needs another package, or more GPUs, is skipped and says so. nmt is imported
from the folder above this file; it need not be installed. The second form tries the checks themselves, on a CPU at toy
size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpu import stand_ins
from gpu.harness import Bench, Check, line_of, run_check

CHECKS = {
    "facts": ("correctness", 40),
    "gradients": ("correctness", 90),
    "waits": ("steady", 30),
    "guard": ("steady", 20),
    "eager": ("speed", 60),
    "compiled": ("speed", 120),
    "parts": ("speed", 20),
    "host": ("speed", 40),
    "checkpoint": ("speed", 40),
    "validation": ("decoding_checks", 40),
    "hour": ("speed", 5),
    "shapes": ("steady", 90),
    "translations": ("decoding_checks", 90),
    "decoding_speed": ("decoding_checks", 90),
    "compiled_layers": ("correctness", 120),
    "loss": ("correctness", 40),
    "dropout": ("correctness", 20),
    "padding": ("correctness", 20),
    "micro_batches": ("memory_checks", 30),
    "out_of_memory": ("memory_checks", 30),
    "same_bits": ("steady", 30),
    "deterministic": ("steady", 30),
    "several_ranks": ("ranks", 60),
    "lost_rank": ("ranks", 90),
    "scaling": ("ranks", 60),
    "commands": ("ranks", 120),
}
"""The checks, those that matter most first: the module that holds each, and the most seconds it may take."""


def load_checks() -> dict[str, Check]:
    """Import the checks, and with them PyTorch and nmt."""
    with stand_ins.stand_ins(stand_ins.PACKAGES):
        modules = {module: import_module(f"gpu.{module}") for module, _ in CHECKS.values()}
    return {name: Check(getattr(modules[module], name), seconds) for name, (module, seconds) in CHECKS.items()}


def in_child(function: Callable[[], bool]) -> bool:
    """Return the result of `function` in a forked process, so that this one does not start CUDA."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function)


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", help="these checks alone, separated by commas")
    parser.add_argument("--budget", type=float, default=600.0, metavar="SECONDS", help="for all checks; default 600")
    parser.add_argument("--list", action="store_true", help="list the checks")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.names = options.only.split(",") if options.only else list(CHECKS)
    if unknown := [name for name in options.names if name not in CHECKS]:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    return options


def main() -> int:
    """Run the checks; return the exit code."""
    options = arguments()
    began = time.monotonic()
    if absent := stand_ins.missing(sorted(stand_ins.NEEDED)):
        print(f"gpu_check: needs {', '.join(absent)}, not installed", file=sys.stderr)
        return 2
    if not (options.list or options.rank) and options.device == "cuda" and not in_child(has_gpu):
        hint = "--device cpu --quick tries the checks"
        print(f"gpu_check: no GPU that torch can use on this machine; {hint}", file=sys.stderr)
        return 2
    checks = load_checks()
    if options.rank:  # started by torchrun
        import_module("gpu.ranks").be_a_rank(*options.rank)
        return 0
    if options.list:
        for name in options.names:
            print(f"{name:16} {checks[name].seconds:4} s  {checks[name].title}")
        return 0
    known: dict[str, dict[str, object]] = {}
    has_failed = False
    for name in options.names:
        bench = Bench(options.device, options.quick, known)
        found = run_check(name, checks[name], bench, options.budget - (time.monotonic() - began))
        known[name] = found["figures"]
        has_failed = has_failed or found["status"] == "failed"
        print(line_of(found), flush=True)
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
