"""The first and the last moments of the program: no signal leaves a trace, no file gets the number of a stream."""

import os
import signal
import subprocess
import sys

import pytest

from nmt.cores import WAITING

SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "hung up")}
SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "nmt.cli":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from nmt.__main__ import main
main()
"""
"""The program, stopped where it imports its command line."""
IGNORE = """
import signal
from nmt.startup import handle_endings
signal.signal(signal.SIGHUP, signal.SIG_IGN)
handle_endings(signal.SIG_DFL)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""


def test_signals_that_were_ignored_at_the_start_stay_ignored() -> None:
    subprocess.run([sys.executable, "-c", IGNORE], check=True)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_imports_is_one_line_and_its_exit_code(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"importing\n"
    process.send_signal(number)
    code, word = SIGNALS[number]
    assert process.communicate(timeout=10)[1].decode() == f"nmt: {word}\n"
    assert process.returncode == code


def test_a_closed_stream_leaves_its_number_to_the_null_device() -> None:
    script = "from nmt.startup import open_closed_streams as o; o(); import os; f = open('/dev/zero'); " + (
        "assert f.fileno() > 2; assert os.get_inheritable(0); os._exit(7)"
    )
    process = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, script], check=False)
    assert process.returncode == 7


@pytest.mark.parametrize(("given", "count"), [({}, WAITING["GOMP_SPINCOUNT"]), ({"GOMP_SPINCOUNT": "9"}, "9")])
def test_openmp_is_configured_before_anything_can_load_torch(given: dict[str, str], count: str) -> None:
    script = (
        "import os, sys, types; from nmt.__main__ import main\n"
        "sys.modules['nmt.cli'] = types.SimpleNamespace(main=lambda: print(os.environ['GOMP_SPINCOUNT'])); main()"
    )
    env = {key: value for key, value in os.environ.items() if key not in WAITING} | given
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == f"{count}\n"


def test_open_streams_stay_as_they_are() -> None:
    script = "from nmt.startup import open_closed_streams as o; o(); print('here')"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"here\n"
    assert os.get_inheritable(1)


def test_a_process_that_may_not_wait_for_its_libraries_ends_by_its_exit_code() -> None:
    script = "import atexit; from nmt.startup import end_without_cleanup; "
    script += "atexit.register(print, 'cleaned up', flush=True); atexit.register(end_without_cleanup); "
    for rest, code in (("from nmt.cli import fail; fail('it broke', 4)", 4), ("raise ValueError", 1)):
        done = subprocess.run([sys.executable, "-c", script + rest], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.endswith(b"it broke\n" if code == 4 else b"ValueError\n")


INSIDE_FINALIZER = """
import signal, sys, time
from nmt import cli

class Last:
    def __del__(self):
        signal.raise_signal({number})
        len([])

def program(**_):
    try:
        Last()
        time.sleep(20)
    except KeyboardInterrupt:  # as Typer does
        return 130

cli.program = program
from nmt.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_within_a_finalizer_still_ends_the_program(number: signal.Signals) -> None:
    script = INSIDE_FINALIZER.format(number=int(number))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=25)
    code, word = SIGNALS[number]
    assert (done.returncode, done.stderr) == (code, f"nmt: {word}\n")
