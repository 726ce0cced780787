"""How the command doctor shows findings."""

from typing import get_args, get_type_hints

from nmt.advice.checkup import Finding
from nmt.commands.doctor import STYLES


def test_every_level_of_a_finding_has_its_style() -> None:
    assert list(STYLES) == list(get_args(get_type_hints(Finding)["level"]))
    assert len(set(STYLES.values())) == len(STYLES)
