"""The facts of the report of the tiny run, gathered once."""

import pytest
from conftest import TinyRun

from nmt.experiments.report import report_of
from nmt.files import JsonObject


@pytest.fixture(scope="session")
def facts_of_tiny(tiny: TinyRun) -> JsonObject:
    """Return the facts of the report. Shared: never change them."""
    return report_of(tiny.folder)
