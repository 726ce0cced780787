"""What the tests of training share."""

from pathlib import Path

import pytest
from trainers import write_ids

from nmt.data.encoding.dataset import PreparedPairs
from nmt.training.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def two_corpora(tmp_path_factory: pytest.TempPathFactory) -> PreparedPairs:
    """Return 30 pairs of one corpus and 10 of another."""
    folder = tmp_path_factory.mktemp("two") / "train"
    for number, (corpus, count) in enumerate([("large", 30), ("small", 10)]):
        write_ids(folder, number, corpus, count)
    return PreparedPairs(folder)


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", 3)
