"""The checks of the GPU path: their harness, their stand-ins, and the checks that need no GPU, at toy size."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from gpu import stand_ins
from gpu.harness import Bench, Check, SkippedError, run_check, tidy

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu_check.py"
SLOW = {"compiled_layers", "compiled", "several_ranks", "lost_rank", "scaling"}
"""Checks that take many seconds even at toy size: they compile, or start processes."""
LONG = {"host", "shapes", "translations", "decoding_speed", "same_bits"}
"""Checks that take a second each."""
NEED_GPU = {"waits", "out_of_memory", "commands"}
NEED_PACKAGES = {"checkpoint"}


def ends_well(bench: Bench) -> None:
    bench.figures["share"] = bench.known["before"]["share"] / 3
    bench.expect(True, "nothing")


def fails(bench: Bench) -> None:
    bench.figures["n"] = 1
    bench.expect(False, "one")
    bench.expect(False, "two")


def breaks(_: Bench) -> None:
    raise ValueError("broken")


def is_skipped(_: Bench) -> None:
    raise SkippedError("needs two GPUs")


def lacks(_: Bench) -> None:
    raise stand_ins.MissingPackageError("needs safetensors")


def dies(_: Bench) -> None:
    os._exit(9)


def sleeps(_: Bench) -> None:
    time.sleep(60)


@pytest.mark.parametrize(
    ("work", "status", "reason"),
    [
        (ends_well, "ok", ""),
        (fails, "failed", "one; two"),
        (breaks, "failed", "ValueError at test_gpu_check.py:"),
        (is_skipped, "skipped", "needs two GPUs"),
        (lacks, "skipped", "needs safetensors"),
        (dies, "failed", "its process died, exit code 9"),
        (sleeps, "failed", "not done after 0 s"),
    ],
)
def test_a_check_ends_in_one_line_whatever_happens(work: Any, status: str, reason: str) -> None:
    limit = 0.4 if work is sleeps else 30.0
    found = run_check("it", Check(work, limit), Bench("cpu", known={"before": {"share": 1.0}}), left=100.0)
    assert (found["name"], found["status"]) == ("it", status)
    assert found["reason"].startswith(reason)
    assert found["seconds"] < 20
    assert work is not ends_well or found["figures"] == {"share": 0.3333}


def test_a_check_for_which_no_time_is_left_is_skipped() -> None:
    found = run_check("it", Check(ends_well, 30), Bench("cpu"), left=3.0)
    assert (found["status"], found["reason"]) == ("skipped", "no time was left")


def test_figures_are_numbers_that_json_has() -> None:
    assert tidy({1: [0.123456, float("nan")], "b": {"c": float("inf"), "d": True}, "e": 12_345_678}) == {
        "1": [0.1235, None],
        "b": {"c": None, "d": True},
        "e": 12_345_678,
    }


def test_a_stand_in_can_be_imported_caught_and_named_but_not_used() -> None:
    program = (
        "import sys; from gpu.stand_ins import *\n"
        "sys.modules['regex'] = None\n"
        "with stand_ins(['regex', 'json']):\n"
        "    import json, regex.inner; from regex import Error; at_import = regex.compile('x')\n"
        "    def typed(x: 'regex.Pattern[str]') -> regex.Pattern[str] | None: ...\n"
        "print(missing(['json', 'regex']), json.dumps(1))\n"
        "try: raise ValueError\n"
        "except (Error, ValueError): print('caught')\n"
        "for use in (regex.compile, at_import.match):\n"
        "    try: use('x')\n"
        "    except MissingPackageError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    line = "needs regex, which is not installed"
    assert (done.stdout.splitlines(), done.stderr) == (["['regex'] 1", "caught", line, line], "")


def check(*arguments: str, absent: list[str] | None = None) -> tuple[int, str, str]:
    """Run the script, as on a machine without the packages `absent`."""
    program = (
        f"import sys, runpy; sys.modules.update(dict.fromkeys({absent or []})); sys.argv[0] = {str(SCRIPT)!r}; "
        f"sys.path.insert(0, {str(SCRIPT.parent)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, err = check()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("gpu_check: no GPU that torch can use on this machine")


def test_an_unknown_check_and_a_missing_pytorch_are_said() -> None:
    code, out, err = check("--only", "facts,nothing")
    assert (code, out, "no check nothing; there are facts, gradients, " in err) == (2, "", True)
    code, out, err = check(absent=["pydantic"])
    assert (code, out, err) == (2, "", "gpu_check: needs pydantic, not installed\n")


def names() -> list[str]:
    """Return the names of the checks, by the text of the script, which is not imported here."""
    return [
        line.split('"')[1] for line in SCRIPT.read_text().splitlines() if line.startswith('    "') and '": ("' in line
    ]


def results(only: set[str], absent: list[str]) -> dict[str, dict[str, Any]]:
    chosen = [name for name in names() if name in only]
    code, out, err = check("--device", "cpu", "--quick", "--only", ",".join(chosen), absent=absent)
    found = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert code == any(row["status"] == "failed" for row in found.values()), err
    assert list(found) == chosen
    return found


def test_the_checks_run_on_a_bare_machine_with_a_cpu() -> None:
    found = results(set(names()) - SLOW - LONG, list(stand_ins.PACKAGES))
    expected = {name: "skipped" if name in NEED_GPU | NEED_PACKAGES else "ok" for name in found}
    assert {name: row["status"] for name, row in found.items()} == expected, found
    assert found["facts"]["figures"]["missing"] == sorted(stand_ins.PACKAGES)
    assert found["checkpoint"]["reason"] == "needs safetensors, which is not installed"
    assert {found[name]["reason"] for name in NEED_GPU} == {"needs a GPU"}
    assert found["hour"]["figures"]["without"] == ["checkpoint"]


@pytest.mark.slow
def test_the_slow_checks_run_on_a_cpu_too() -> None:
    found = results(SLOW | LONG | NEED_PACKAGES, [])
    assert {row["status"] for row in found.values()} == {"ok"}, found


def test_the_readme_describes_every_check() -> None:
    text = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    described = {
        name
        for row in text.split("\n| Check | Fails unless |\n")[1].split("\n\n")[0].splitlines()
        for name in row.split("|")[1].replace("`", "").replace(" ", "").split(",")
    }
    assert described - {"---"} == set(names())
