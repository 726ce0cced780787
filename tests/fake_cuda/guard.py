"""Load a fake CUDA device into a CPU build of PyTorch, and trace nmt on it: `python guard.py`.

`guard.cpp` is compiled by g++ with PyTorch's headers, which takes some seconds, once.
"""

import ctypes
import hashlib
import importlib
import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")
LIBRARIES = ("libc10.so", "libtorch_cpu.so")


def torch_folder() -> Path:
    """Return the folder of PyTorch, which is not imported."""
    spec = importlib.util.find_spec("torch")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def compile_guard() -> Path:
    """Return the compiled guard: for each version of it and of PyTorch one file, among the temporary ones."""
    folder = torch_folder()
    version = hashlib.sha256(SOURCE.read_bytes() + (folder / "version.py").read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"nmt-fake-cuda-{version}.so"
    if not library.exists():
        scratch = library.with_suffix(f".{os.getpid()}")
        options = ["-shared", "-fPIC", "-std=c++20", "-O0", f"-I{folder / 'include'}"]
        subprocess.run(["g++", *options, str(SOURCE), "-o", str(scratch)], check=True)
        scratch.replace(library)
    return library


def load_guard() -> None:
    """Load the guard. To be called before PyTorch is imported, which asks for the hooks once."""
    for library in (*(torch_folder() / "lib" / name for name in LIBRARIES), compile_guard()):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


if __name__ == "__main__":
    load_guard()
    importlib.import_module("tracing").main()
