"""Updates and steps of a search on a fake CUDA device: one device, a host that never waits for it, and few graphs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

Report = dict[str, dict[str, Any]]
WAITS = {
    "item": "aten._local_scalar_dense.default waits, ",
    "truth": "aten._local_scalar_dense.default waits, ",
    "nonzero": "aten.nonzero.default waits, ",
    "unique": "aten._unique2.default waits, ",
    "to the host": "aten._to_copy.default on cpu, ",
    "from the host": "aten._to_copy.default on cpu, ",
    "on the host": "aten.ones.default on cpu, ",
    "mixed": "FakeTensorDeviceMismatchError: ",
}
"""How the fault is reported that each of the planted acts commits."""


@pytest.fixture(scope="module")
def report() -> dict[str, Report]:
    """Trace all cases in a process of their own, whose PyTorch is given the fake device before it is imported."""
    if torch.version.cuda is not None:
        pytest.skip("this PyTorch is built for CUDA and refuses a second device of that name")
    if shutil.which("g++") is None or not (Path(torch.__file__).parent / "include" / "ATen").is_dir():
        pytest.skip("the fake device is compiled by g++ with PyTorch's headers, one of which is missing")
    program = Path(__file__).with_name("guard.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Report] = json.loads(done.stdout)
    return found


def faults(cases: Report) -> dict[str, list[str]]:
    return {case: report["faults"] for case, report in cases.items() if report["faults"]}


def test_an_update_stays_on_the_device_and_never_waits_for_it(report: dict[str, Report]) -> None:
    updates = report["updates"]
    assert faults(updates) == {}
    assert len(updates) >= 6
    assert min(case["operators"] for case in updates.values()) > 300
    assert min(case["state"] for case in updates.values()) > 60  # weights, moments, guard, losses


def test_the_loss_of_dev_and_a_step_of_the_search_stay_on_the_device_too(report: dict[str, Report]) -> None:
    assert faults(report["inference"]) == {}
    assert min(case["operators"] for case in report["inference"].values()) > 200


def test_compiled_layers_of_a_kind_share_two_graphs_for_all_shapes(report: dict[str, Report]) -> None:
    for case, graphs in report["graphs"].items():
        kinds = ("encoder", "decoder") if case.startswith("encoder-decoder") else ("encoder",)
        assert all(1 <= graphs[kind] <= 2 for kind in kinds), case
        assert (graphs["late"], graphs["breaks"]) == (0, 0)


@pytest.mark.parametrize("act", WAITS)
def test_a_planted_wait_or_tensor_of_the_host_is_found(report: dict[str, Report], act: str) -> None:
    assert any(fault.startswith(WAITS[act]) for fault in report["planted"][act]["faults"]), report["planted"][act]


def test_all_that_is_planted_is_expected(report: dict[str, Report]) -> None:
    assert report["planted"].keys() == WAITS.keys()
