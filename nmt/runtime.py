"""The process: its memory and allocator, the versions it runs. Free of torch."""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from nmt.errors import UsageError
from nmt.version import ROOT, __version__, install_hint

if sys.platform != "win32":
    import resource

PACKAGES = (
    *("torch", "sentencepiece", "sacrebleu", "datasets", "safetensors", "numpy", "pydantic"),
    *("py3langid", "simplemma"),  # where a recipe asks for what they know of languages
)


def import_extra(module: str, extra: str, user: str, *, instead: str = "") -> ModuleType:
    """Import a module that needs an optional extra.

    Raises UsageError where a package is not installed; it names the `user` of the module, the command that installs
    the extra, and what to do `instead`.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "nmt":
            raise
        hint = f"{install_hint(extra)}{instead and f', or {instead}'}"
        raise UsageError(f"{user} needs a package that is not installed", hint=hint) from error


def keep_freed_memory() -> None:
    """Make glibc's malloc keep freed pages, instead of mapping and clearing them anew each step.

    Costs some peak memory and saves hundreds of thousands of page faults a step; other C libraries are left
    as they are. The constants are those of malloc.h.
    """
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 64 * 2**20)


def return_freed_memory() -> None:
    """Return the pages kept by `keep_freed_memory` to the system."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def bound_kernels() -> None:
    """Limit oneDNN, which computes bfloat16 on a CPU, to cached kernels for the last 64 shapes of a product, not 1,024.

    Batches of ever new shapes would fill gigabytes. To be called before the first product; settings of the user's
    environment stay.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):  # its own cache, and PyTorch's above it
        os.environ.setdefault(variable, "64")


def reset_peak_memory() -> None:
    """Restart Linux's record of the process's peak memory; other systems keep theirs."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def process_memory(field: str) -> int:
    """Return a field of Linux's record of this process, in bytes; on other systems the peak, whatever the field."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def free_memory() -> int:
    """Return the bytes that the system and the process's control group leave free; elsewhere no limit."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        with suppress(OSError, ValueError):  # without a limit the file says "max"
            group = Path("/sys/fs/cgroup")
            limit, used = (int((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
            free = min(free, limit - used)
        return free
    return sys.maxsize


def versions() -> dict[str, str]:
    """Return the versions of nmt, Python and the packages that results depend on."""
    found = {"nmt": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@cache
def code() -> dict[str, str]:
    """Return nmt's version, the SHA-256 of its source, and the commit where it is a checkout, `-dirty` if changed.

    The recipes, which a wheel has within the package, are no source.
    """
    source, package = hashlib.sha256(), ROOT / "nmt"
    for name in sorted(path.relative_to(package).as_posix() for path in package.rglob("*.*")):
        if name.endswith((".py", ".toml")) and not name.startswith("recipes/"):
            source.update(f"{name}\0{hashlib.sha256((package / name).read_bytes()).hexdigest()}\0".encode())
    found = {"nmt": __version__, "source": source.hexdigest()}
    if (ROOT / ".git").exists():
        describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        with suppress(OSError, subprocess.CalledProcessError):
            found["commit"] = subprocess.check_output(describe, stderr=subprocess.DEVNULL, text=True).strip()
    return found
