"""The expected failures: their exit codes, which scripts rely on, and their hints."""

import pytest

from nmt import errors
from nmt.errors import NmtError

CODES = {
    "NmtError": 1,
    "UsageError": 2,
    "RecipeError": 2,
    "DataError": 3,
    "ArtifactError": 4,
    "StorageError": 4,
    "DivergedError": 5,
    "InterruptedTrainingError": 130,
    "TerminatedTrainingError": 143,
    "RankError": 1,
    "WorkersError": 1,
}


def test_every_failure_has_its_exit_code() -> None:
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, NmtError)}
    assert {name: kind.exit_code for name, kind in found.items()} == CODES


@pytest.mark.parametrize(("hint", "text"), [(None, "it broke"), ("", "it broke"), ("mend it", "it broke (mend it)")])
def test_a_hint_stands_behind_the_message(hint: str | None, text: str) -> None:
    assert str(NmtError("it broke", hint=hint)) == text
