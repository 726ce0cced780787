"""The work on shards of synthetic pairs: turns of ranks, reports cut into shards, scores, and the pairs that stay."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from nmt.config.synthetic import SyntheticConfig
from nmt.data.cleaning.corpus_text import read_pairs
from nmt.data.shards import card_of, shard_path
from nmt.errors import StorageError
from nmt.inference.report import Report
from nmt.inference.results import PairScore
from nmt.inference.translator import LARGEST_CHUNK, Translator
from nmt.pipeline.synthetic_pairs import (
    SHARD_LINES,
    Turns,
    cards_of,
    choose_pairs,
    mean_log_probs,
    scores_of,
    taken_from,
    write_rows,
)
from nmt.pipeline.translators import Maker
from nmt.training.distributed import Ranks


class Scorer:
    """Scores a target by the numbers that are its words; one without words cannot be scored."""

    engine = None

    def with_engine(self, _: object) -> "Scorer":
        return self

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[PairScore]:
        assert len(sources) == len(targets)
        return [PairScore(0.0, [], [float(word) for word in target.split()]) for target in targets]


SCORER = cast(Translator, Scorer())


def maker_of(**config: Any) -> Maker:
    return Maker("news", 0, [Path("model")], 1, SyntheticConfig.model_validate(config), None)


def test_a_shard_is_a_whole_number_of_the_chunks_of_a_translation() -> None:
    assert SHARD_LINES % LARGEST_CHUNK == 0


def test_one_process_takes_all_shards_and_a_rank_those_whose_numbers_it_draws() -> None:
    alone = Turns(Ranks())
    assert [alone.is_mine() for _ in range(4)] == [True] * 4
    drawn = iter([1, 2, 5, 9])

    class Rank(Ranks):
        def take(self) -> int:
            return next(drawn)

    turns = Turns(Rank(rank=1, size=2))
    assert [number for number in range(8) if turns.is_mine()] == [1, 2, 5]
    assert next(drawn, None) is None  # the next number is drawn when it is needed


def test_the_lines_of_a_shard_leave_the_report_and_those_of_later_ones_stay() -> None:
    report = Report(lines=9, cut=[1, 3, 5], looping=[4], blank=[1], emptied=[2], copied=[5])
    assert taken_from(report, 4) == {"cut": 2, "looping": 1}
    assert (report.cut, report.looping, report.blank, report.emptied, report.copied) == ([5], [], [], [], [5])
    assert taken_from(report, 9) == {"cut": 1, "copied": 1}


def test_a_score_is_the_mean_of_the_pieces_and_with_two_models_their_mean_less_their_difference() -> None:
    assert mean_log_probs(SCORER, ["a", "b"], ["-1 -2", ""]) == [-1.5, -math.inf]
    lines, hypotheses = ["-1", "-4 -6"], [["-2", "-3 -4"], ["-5"]]
    assert scores_of(lines, hypotheses, SCORER, None) == [[-2.0, -3.5], [-5.0]]
    assert scores_of(lines, hypotheses, SCORER, SCORER) == [[-1.5 - 1, -2.25 - 2.5], [-5.0]]
    assert scores_of(["", "-1"], [["-2"], [""]], SCORER, SCORER) == [[-math.inf], [-math.inf]]


SCORES = [-1.0, -4.0, -2.0, -2.0, -3.0]


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"keep_share": 0.4}, [0, 2]),  # of equal scores the first
        ({"keep_share": 0.41}, [0, 2, 3]),
        ({"keep_share": 1.0}, [0, 1, 2, 3, 4]),
        ({"min_score": -2.0}, [0, 2, 3]),
        ({"min_score": 0.0}, []),
    ],
)
def test_the_best_pairs_of_all_shards_stay_in_their_shards(
    tmp_path: Path, config: dict[str, float], kept: list[int]
) -> None:
    maker, made, folder = maker_of(**config), tmp_path / "made", tmp_path / "kept"
    rows = [(f"s{number}", f"t{number}", score) for number, score in enumerate(SCORES)]
    for number, part in enumerate((rows[:2], [], rows[2:])):
        write_rows(shard_path(made, number), maker, part, {"rows": len(part)})
    assert choose_pairs(maker, 3, made, folder) == len(SCORES) - len(kept)
    found = [[*read_pairs(shard_path(folder, number))] for number in range(3)]
    assert found == [
        [(f"s{number}", f"t{number}") for number in kept if number < 2],
        [],
        [(f"s{number}", f"t{number}") for number in kept if number >= 2],
    ]
    assert [(card_of(shard_path(folder, number)) or {})["rows"] for number in range(3)] == [*map(len, found)]
    stamp = shard_path(folder, 0).stat().st_mtime_ns
    choose_pairs(maker, 3, made, folder)
    assert shard_path(folder, 0).stat().st_mtime_ns == stamp  # a whole shard is not written again


def test_a_shard_that_is_missing_in_the_end_is_named(tmp_path: Path) -> None:
    write_rows(shard_path(tmp_path, 0), maker_of(), [("s", "t", 0.0)], {"rows": 1})
    assert cards_of(1, tmp_path) == [{"rows": 1}]
    with pytest.raises(StorageError, match=r"00001\.arrow: missing or damaged \(do all ranks read the same files\?"):
        cards_of(2, tmp_path)
