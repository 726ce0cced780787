"""Cards of checkpoints that somebody else may have written."""

from pathlib import Path
from typing import Any

import pytest

from nmt.errors import ArtifactError
from nmt.training.checkpoint import (
    CHECKPOINT,
    MOMENTS,
    STATE,
    WEIGHTS,
    TrainingState,
    read_checkpoint,
    write_checkpoint,
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"state": []}, ""),
        ({"files": None}, ""),
        ({"identity": 5}, ""),
        ({"files": {}}, f": its files do not list {WEIGHTS}"),
        ({"state": {"step": "many"}}, ": state.step: must be a valid integer"),
        ({"state": {"ranked": [[1.0]]}}, ": state.ranked.0"),
        ({"state": {"best_step": 4, "best": "good"}}, ": state.ranked.0.0: must be a valid number"),
    ],
)
def test_a_card_of_other_types_is_damaged(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    write_checkpoint(tmp_path / "step-00000001", TrainingState(step=1), {WEIGHTS: {}, MOMENTS: {}}, {"data": "x"})
    card = CHECKPOINT.read(tmp_path / "step-00000001")
    CHECKPOINT.write(tmp_path / "step-00000001", {**card, **values})
    with pytest.raises(ArtifactError) as caught:
        read_checkpoint(tmp_path / "step-00000001")
    assert str(caught.value).startswith(f"{tmp_path / 'step-00000001' / STATE}: damaged{message}")
