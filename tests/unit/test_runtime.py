"""The process: its memory, its allocator, the versions it runs."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import environment

import nmt
from nmt import runtime
from nmt.errors import UsageError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
Files = Callable[[dict[str, str]], None]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return a function that replaces files of the system by the given texts; others are missing."""

    def replace(texts: dict[str, str]) -> None:
        real = Path.read_text

        def read_text(path: Path, *args: Any, **settings: Any) -> str:
            if not str(path).startswith(("/proc/", "/sys/")):
                return real(path, *args, **settings)
            if str(path) not in texts:
                raise FileNotFoundError(path)
            return texts[str(path)]

        monkeypatch.setattr(Path, "read_text", read_text)

    return replace


MEMINFO = "MemTotal:  9000 kB\nMemFree:  100 kB\nMemAvailable:    2000 kB\n"


def test_free_memory_is_the_available_memory_of_the_system(files: Files) -> None:
    files({"/proc/meminfo": MEMINFO})
    assert runtime.free_memory() == 2000 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [("1500000", "500000", 1_000_000), ("max", "500000", 2_048_000), ("9999999", "1", 2_048_000)],
)
def test_a_control_group_may_allow_less(files: Files, limit: str, used: str, free: int) -> None:
    group = {"/sys/fs/cgroup/memory.max": limit + "\n", "/sys/fs/cgroup/memory.current": used + "\n"}
    files({"/proc/meminfo": MEMINFO, **group})
    assert runtime.free_memory() == free


@pytest.mark.parametrize("texts", [{}, {"/proc/meminfo": "MemTotal: 7 kB\n"}])
def test_a_system_without_the_record_sets_no_limit(files: Files, texts: dict[str, str]) -> None:
    files(texts)
    assert runtime.free_memory() == sys.maxsize


def test_the_memory_of_the_process_is_read_by_field(files: Files) -> None:
    files({"/proc/self/status": "Name:\tnmt\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n"})
    assert (runtime.process_memory("VmHWM"), runtime.process_memory("VmRSS")) == (300 * 1024, 200 * 1024)


@pytest.mark.parametrize(("system", "factor"), [("darwin", 1), ("freebsd", 1024)])
def test_a_system_without_the_record_knows_the_peak(
    files: Files, monkeypatch: pytest.MonkeyPatch, system: str, factor: int
) -> None:
    class Usage:
        ru_maxrss = 5000

    files({})
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("resource.getrusage", lambda _: Usage)
    assert runtime.process_memory("VmRSS") == 5000 * factor


def test_versions_are_those_of_the_packages_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(package: str) -> str:
        if package == "datasets":
            raise PackageNotFoundError
        return version(package)

    monkeypatch.setattr(runtime, "version", installed)
    names = {"torch", "sentencepiece", "sacrebleu", "safetensors", "numpy", "pydantic", "py3langid", "simplemma"}
    expected = {name: version(name) for name in names}
    assert runtime.versions() == {"nmt": nmt.__version__, "python": platform.python_version(), **expected}


def test_the_code_is_its_version_the_digest_of_its_source_and_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "ROOT", tmp_path)

    def code(name: str, text: str) -> dict[str, str]:
        (tmp_path / "nmt" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nmt" / name).write_text(text, encoding="utf-8")
        return runtime.code.__wrapped__()

    first = code("a/b.py", "x")
    assert (list(first), first["nmt"]) == (["nmt", "source"], nmt.__version__)
    assert code("a/b.txt", "y") == code("recipes/demo.toml", "y") == first
    others = [code("words.toml", "x")["source"], code("a/b.py", "y")["source"]]
    assert len({first["source"], *others}) == 3
    (tmp_path / ".git").mkdir()  # which is no repository
    assert list(code("a/b.py", "x")) == ["nmt", "source"]
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    for words in (["init", "-q"], ["add", "nmt"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    assert re.fullmatch("[0-9a-f]{40}", code("a/b.py", "x")["commit"])
    assert re.fullmatch("[0-9a-f]{40}-dirty", code("a/b.py", "z")["commit"])


class Malloc:
    """Stands for the C library; some have no such functions."""

    def __init__(self, *names: str) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.names = names

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in self.names:
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, arguments))


def test_malloc_is_told_by_its_own_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Malloc("mallopt", "malloc_trim")
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)
    runtime.keep_freed_memory()
    runtime.return_freed_memory()
    # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD of malloc.h.
    options = [("mallopt", (-4, 0)), ("mallopt", (-1, 2**31 - 1)), ("mallopt", (-2, 2**26))]
    assert library.calls == [*options, ("malloc_trim", (0,))]
    monkeypatch.setattr("ctypes.CDLL", lambda _: Malloc())
    runtime.keep_freed_memory()
    runtime.return_freed_memory()


def test_settings_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    runtime.bound_kernels()
    assert (os.environ["LRU_CACHE_CAPACITY"], os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) == ("7", "64")


@linux
def test_a_peak_can_be_reset() -> None:
    bytearray(2**26)
    peak = runtime.process_memory("VmHWM")
    runtime.reset_peak_memory()
    assert runtime.process_memory("VmHWM") <= peak + 2**20
    assert runtime.process_memory("VmHWM") - runtime.process_memory("VmRSS") < 2**24


SHAPES = """\
import sys, torch
from nmt import runtime
if sys.argv[1] == "bounded":
    runtime.bound_kernels()
weight = torch.ones(256, 256, dtype=torch.bfloat16)
before = runtime.process_memory("VmRSS")
with torch.inference_mode():
    for rows in range(100, 700):
        torch.nn.functional.linear(torch.ones(rows, 256, dtype=torch.bfloat16), weight)
print(runtime.process_memory("VmRSS") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bfloat16 here")
def test_products_of_ever_new_shapes_do_not_fill_the_memory() -> None:
    def taken(how: str) -> int:
        command = [sys.executable, "-c", SHAPES, how]
        # This process may have bounded itself, and those that it starts would inherit it.
        env = {key: value for key, value in environment().items() if not key.endswith("CACHE_CAPACITY")}
        return int(subprocess.run(command, capture_output=True, check=True, env=env, timeout=120).stdout)

    assert taken("bounded") < taken("unbounded") / 2


def test_the_module_is_free_of_torch() -> None:
    program = "import sys, nmt.runtime; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout == "False\n"


def test_a_module_of_an_extra_is_imported_or_named_with_the_command_that_installs_it() -> None:
    assert runtime.import_extra("os.path", "plots", "the picture") is os.path
    with pytest.raises(UsageError, match=r"^the picture needs a package that is not installed \(pip install .*plots"):
        runtime.import_extra("nmt_nosuch", "plots", "the picture")
    with pytest.raises(UsageError, match=r'\.\[plots\]", or take a pen\)$'):
        runtime.import_extra("nmt_nosuch", "plots", "the picture", instead="take a pen")


def test_a_module_of_nmt_itself_that_cannot_be_imported_is_a_bug_not_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"nmt\.nosuch"):
        runtime.import_extra("nmt.nosuch", "plots", "the picture")
