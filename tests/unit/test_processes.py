"""Children answer in order, carry errors over, and end with their parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import alive, wait_until

from nmt import processes
from nmt.cores import WAITING
from nmt.errors import DataError
from nmt.processes import Answer, Child, ChildDiedError, blocked, end_all, wait_for

PATIENCE = 20.0


# What the children do has to be found by its name in another interpreter.


def add(context: int, number: int) -> tuple[int, int]:
    return context + number, os.getpid()


def describe(_: object) -> dict[str, object]:
    return {
        "stdout": os.fstat(1).st_rdev == Path(os.devnull).stat().st_rdev,
        "stderr": os.fstat(2).st_rdev == Path(os.devnull).stat().st_rdev,
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "main": getattr(sys.modules["__main__"], "__file__", None),
        "variable": os.environ.get("NMT_TEST"),
        "path": sys.path,
        "spins": os.environ.get("GOMP_SPINCOUNT"),
    }


def read(file: int) -> str:
    with open(file, encoding="utf-8") as text:
        return text.read()


def sleep(_: object, seconds: float) -> None:
    time.sleep(seconds)


class AwkwardError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def fail(_: object, how: str) -> object:
    match how:
        case "data":
            raise DataError("line 7: bad", hint="fix it")
        case "full":
            raise OSError(28, "No space left on device", "/some/file")
        case "bug":
            raise ZeroDivisionError("a bug")
        case "awkward":
            raise AwkwardError("cannot be", " pickled")
        case "lock":
            return threading.Lock()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
    return how


@pytest.fixture
def child() -> Iterator[Child[int]]:
    with Child(40) as child:
        yield child


def test_answers_come_in_the_order_of_the_calls(child: Child[int]) -> None:
    for number in range(5):
        child.call(add, number)
    assert child.pending == 5
    assert [child.receive().result() for _ in range(5)] == [(40 + number, child.process.pid) for number in range(5)]
    assert child.pending == 0
    assert child.process.pid != os.getpid()


def test_a_call_larger_than_any_buffer_is_read_while_another_is_computed(child: Child[int]) -> None:
    child.call(sleep, 1.0)
    began = time.monotonic()
    child.call(fail, "x" * 2**23)
    assert time.monotonic() - began < 0.9
    assert child.receive().result() is None
    assert child.receive().result() == "x" * 2**23


@pytest.mark.parametrize("quiet", [False, True])
def test_a_child_has_its_own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quiet: bool) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    known = {"variable": "seven", "spins": WAITING["GOMP_SPINCOUNT"]}
    with Child(None, environment={"NMT_TEST": "seven"}, quiet=quiet) as child:
        child.call(describe)
        found = child.receive().result()
    assert isinstance(found, dict)
    assert str(tmp_path) in found.pop("path")
    assert found.pop("stderr") or not quiet
    assert found == {"stdout": True, "blocked": {signal.SIGINT, signal.SIGHUP}, "main": None, **known}


def test_a_child_keeps_the_files_that_it_is_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("seven")
    with (tmp_path / "a.txt").open() as file:
        child = Child(file.fileno(), files=[file.fileno()])
    with child:
        child.call(read)
        assert child.receive().result() == "seven"


def test_errors_are_carried_over_and_the_child_goes_on(child: Child[int]) -> None:
    for how in ("data", "full", "bug", "awkward", "lock"):
        child.call(fail, how)
    child.call(add, 2)
    with pytest.raises(DataError) as data:
        child.receive().result()
    assert (str(data.value), data.value.hint) == ("line 7: bad (fix it)", "fix it")
    assert not hasattr(data.value, "__notes__")
    with pytest.raises(OSError, match="No space left") as full:
        child.receive().result()
    assert (full.value.errno, full.value.filename) == (28, "/some/file")
    with pytest.raises(ZeroDivisionError, match="a bug") as bug:
        child.receive().result()
    [note] = bug.value.__notes__
    assert note.startswith("in a child process:\nTraceback")
    assert "in fail" in note
    with pytest.raises(RuntimeError, match=r"AwkwardError: cannot be pickled"):
        child.receive().result()
    with pytest.raises(TypeError, match="cannot pickle"):
        child.receive().result()
    assert child.receive().result() == (42, child.process.pid)


def test_a_function_that_the_child_cannot_import_is_an_error_of_the_call(
    child: Child[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_: int) -> None: ...

    elsewhere.__qualname__ = "no_such_function"
    monkeypatch.setattr(processes, "no_such_function", elsewhere, raising=False)
    elsewhere.__module__ = processes.__name__
    child.call(elsewhere)
    with pytest.raises(AttributeError, match="no_such_function"):
        child.receive().result()


@pytest.mark.parametrize(("how", "message"), [("kill", "killed by SIGKILL"), ("exit", "exit code 3")])
def test_the_death_of_a_child_says_how(child: Child[int], how: str, message: str) -> None:
    child.call(fail, how)
    child.process.wait(PATIENCE)
    child.call(add, 2)  # nobody reads it, which is no error yet
    assert child.is_ready()
    with pytest.raises(ChildDiedError, match=f"^{message}$"):
        child.receive()


def test_a_call_of_a_dead_child_does_not_end_a_parent_that_dies_of_broken_pipes(child: Child[int]) -> None:
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        child.process.kill()
        child.process.wait(PATIENCE)
        child.call(add, 1)
    finally:
        signal.signal(signal.SIGPIPE, before)
    with pytest.raises(ChildDiedError, match=r"^killed by SIGKILL$"):
        child.receive()


def test_end_kills_a_child_that_still_computes() -> None:
    with Child(None) as child:
        child.call(sleep, 60)
        assert not child.is_ready(0.1)
    assert child.process.returncode == -signal.SIGKILL
    assert child.end() == "killed by SIGKILL"


def test_all_are_ended_whatever_control_c_says(monkeypatch: pytest.MonkeyPatch) -> None:
    children = [Child(number) for number in range(3)]
    ended: list[Child[int]] = []

    def end(child: Child[int]) -> str:
        signal.raise_signal(signal.SIGINT)
        ended.append(child)
        return whole_end(child)

    whole_end = Child.end
    monkeypatch.setattr(Child, "end", end)
    before = signal.getsignal(signal.SIGINT)
    waiting = list(children)
    end_all(waiting)
    assert (waiting, set(ended)) == ([], set(children))
    assert all(child.process.returncode == -signal.SIGKILL for child in children)
    assert signal.getsignal(signal.SIGINT) == before
    with ThreadPoolExecutor() as pool:  # where no handler may be set
        pool.submit(end_all, []).result()


def test_waiting_returns_the_children_that_have_answered_or_died() -> None:
    with Child(0) as one, Child(0) as two:
        one.call(add, 1)
        assert wait_for([one, two]) == [one]
        one.receive()
        two.process.kill()
        assert wait_for([one, two]) == [two]


def test_an_answer_without_an_error_is_its_value() -> None:
    assert Answer(None).result() is None
    with pytest.raises(KeyError):
        Answer(error=KeyError()).result()


def test_a_blocked_signal_comes_when_the_block_has_ended() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    done: list[str] = []

    def block() -> None:
        with blocked(signal.SIGINT):
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # other threads, torch's for one, do not block it
            done.append("block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["block"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent(number: signal.Signals) -> None:
    parent = (
        "import time\nfrom nmt.processes import Child\n"
        "child = Child(60)\nchild.call(time.sleep)\nprint(child.process.pid, flush=True)\nchild.receive()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout
        assert process.stderr
        child = int(process.stdout.readline())
        assert alive(child)
        os.killpg(process.pid, number)
        assert process.wait(PATIENCE) == -number
        wait_until(lambda: not alive(child))
        assert process.stderr.read().count("Traceback") == (number == signal.SIGINT)


def test_a_command_that_listens_to_its_parent_ends_when_that_has_gone() -> None:
    program = "from nmt.processes import end_with_parent; end_with_parent(); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()  # as the system does where the parent dies
        assert process.wait(PATIENCE) == 1
