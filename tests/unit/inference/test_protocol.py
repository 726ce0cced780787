"""What all engines share: limits, the length penalty, work by batches."""

from collections.abc import Iterable, Iterator

import pytest
import torch

from nmt.config.decoding import DecodingConfig
from nmt.inference.protocol import Row, by_batch, length_penalty, nan_error


@pytest.mark.parametrize(
    ("settings", "prefix", "longest", "limit"),
    [
        ({"max_extra_length": 5}, 0, 99, 9),  # 3 + 5, and EOS
        ({"max_extra_length": 0}, 0, 99, 4),
        ({"max_extra_length": 5}, 0, 9, 9),
        ({"max_extra_length": 5}, 0, 8, 8),
        ({"max_extra_length": 5, "max_length_ratio": 1.5}, 0, 99, 6),  # 4.5 pieces are 5
        ({"max_extra_length": 1, "max_length_ratio": 9.0}, 0, 99, 5),
        ({"max_extra_length": 0}, 7, 99, 8),
        ({"max_extra_length": 0}, 2, 99, 4),
        ({"max_extra_length": 0}, 7, 6, 6),
    ],
)
def test_a_hypothesis_is_limited_by_its_source_its_prefix_and_the_model(
    settings: dict[str, float], prefix: int, longest: int, limit: int
) -> None:
    row = Row([4, 5, 6], [7] * prefix)
    assert row.limit(DecodingConfig.model_validate(settings), longest) == limit


def test_the_length_penalty_is_equation_14_of_wu_et_al() -> None:
    assert length_penalty(1, 0.6) == 1.0
    assert length_penalty(7, 0.0) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    torch.testing.assert_close(length_penalty(torch.tensor([7, 19]), 0.5), torch.tensor([2**0.5, 2.0]))


def test_items_are_worked_on_by_batches_of_similar_lengths_and_come_back_in_order() -> None:
    batches: list[list[str]] = []

    def work(given: Iterable[list[str]]) -> Iterator[list[str]]:
        for batch in given:
            batches.append(batch)
            yield [item.upper() for item in batch]

    items = ["ccc", "a", "ddd", "b", "eeeee"]
    assert by_batch(items, [len(item) for item in items], 6, work) == ["CCC", "A", "DDD", "B", "EEEEE"]
    assert sorted(map(sorted, batches)) == [["a", "b"], ["ccc", "ddd"], ["eeeee"]]
    assert by_batch([], [], 6, work) == []


def test_an_engine_that_answers_too_little_is_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        by_batch([1, 2], [1, 1], 9, lambda _: iter([]))
    with pytest.raises(ValueError, match="zip"):
        by_batch([1, 2], [1, 1], 9, lambda _: iter([[1]]))


def test_an_output_that_is_not_a_number_has_one_message() -> None:
    assert str(nan_error()) == "the model's output is not a number (its training diverged)"
    assert nan_error().exit_code == 4
