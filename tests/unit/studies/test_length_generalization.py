"""The study of lengths: its grid, the recipe of a cell, and what it says of the figures."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from nmt.config.toml import check
from nmt.errors import RecipeError
from nmt.studies.base import configure
from nmt.studies.length_generalization import (
    LengthCell,
    LengthGeneralization,
    LengthGeneralizationConfig,
    pieces_of,
    recipe_of,
    verdict,
)

STUDY = LengthGeneralization()
EXACT = {10: 100.0, 40: 90.0, 50: 50.0, 100: 10.0}


def config(**fields: Any) -> LengthGeneralizationConfig:
    return LengthGeneralizationConfig.model_validate(fields)


def cell(**fields: Any) -> LengthCell:
    values = {"task": "copy", "family": "decoder-only", "positions": "learned", "start": "zero", "seed": 1}
    return LengthCell(name="x", **{**values, **fields})


def test_there_is_a_cell_for_each_setting_that_differs_from_the_others() -> None:
    cells = STUDY.cells(config(tasks=["sort"], seeds=2, seed=5))
    kinds = [("sinusoidal", "zero"), ("sinusoidal", "random"), ("learned", "zero"), ("learned", "random")]
    kinds += [("rotary", "zero"), ("none", "zero")]
    expected = [(*pair, seed) for pair, seed in product([("decoder-only", *kind) for kind in kinds], (5, 6))]
    expected += [(*pair, seed) for pair, seed in product([("encoder-decoder", *kind) for kind in kinds[:5]], (5, 6))]
    assert [(one.family, one.positions, one.start, one.seed) for one in cells] == expected
    assert cells[2].name == "sort-decoder-only-sinusoidal-random-seed5"
    assert len(STUDY.cells(config(starts=["random"], positions=["rotary"], seeds=1))) == 2 * 12


def test_the_recipe_of_a_cell_has_room_for_the_longest_test_and_no_line_is_cut() -> None:
    tree = recipe_of(cell(task="addition", start="random"), config(test_lengths=[10, 30], seed=3, layers=5))
    recipe = check(tree, "x")
    assert (recipe.data.train["train"].max_length, recipe.data.train["train"].min_length) == (40, 1)
    assert {name: (one.min_length, one.max_length) for name, one in recipe.data.test.items()} == {
        "length-10": (10, 10), "length-30": (30, 30),
    }  # fmt: skip
    assert {corpus.seed for corpus in recipe.data.corpora} == {3}
    assert recipe.model.decoder_layers == 5
    # 30 + 1 + 30 symbols and EOS; BOS and 31 digits.
    assert pieces_of("addition", 30, None) == (62, 32)
    assert recipe.model.max_length == recipe.model.position_offset == recipe.decoding.max_extra_length == 94
    assert (recipe.decoding.segments, recipe.batching.micro_batch_tokens) == ("fill", None)
    both = check(recipe_of(cell(task="addition", family="encoder-decoder"), config(test_lengths=[30], layers=5)), "x")
    assert (both.model.max_length, both.model.position_offset) == (62, 0)
    assert (both.model.encoder_layers, both.model.decoder_layers) == (3, 3)


def test_a_task_whose_symbols_are_all_different_has_enough_of_them_for_its_tests() -> None:
    for length, symbols in ((100, 128), (128, 129), (300, 301)):
        tree = recipe_of(cell(task="addition-hinted"), config(test_lengths=[length]))
        assert tree["data"]["train"]["symbols"] == tree["data"]["test"][f"length-{length}"]["symbols"] == symbols
    assert recipe_of(cell(task="mode"), config())["data"]["train"]["symbols"] is None
    long = recipe_of(cell(task="sort"), config(test_lengths=[10], train_length=200))
    assert check(long, "x").data.train["train"].symbols == 200


def test_fields_that_make_no_recipe_are_refused_with_the_name_of_a_cell() -> None:
    with pytest.raises(RecipeError) as caught:
        configure(STUDY, ["tasks=copy", "d_model=6"], is_quick=True, seed=None)
    message = "model: heads = 4 must divide d_model = 6, or set head_width"
    assert str(caught.value) == f"copy-decoder-only-learned-zero-seed1: {message}"


@pytest.mark.parametrize(
    ("exact", "solved", "said"),
    [
        (EXACT, 90, "does not"),
        (EXACT, 95, "does not"),
        (EXACT, 96, "not learned"),
        (EXACT, 10, "generalizes"),
        ({50: 100.0, 100: 90.0}, 90, "generalizes"),
        ({50: 100.0, 100: 89.9}, 90, "does not"),
        ({40: 89.9, 100: 100.0}, 90, "not learned"),
    ],
)
def test_a_task_generalizes_where_its_longest_test_is_solved_and_it_was_learned(
    exact: dict[int, float], solved: float, said: str
) -> None:
    assert verdict(exact, config(solved=solved)) == said


def test_a_row_is_the_mean_over_the_seeds_that_are_finished_beside_the_prediction() -> None:
    fields = config(
        tasks=["mode", "parity"], families=["decoder-only"], positions=["rotary"], test_lengths=[10, 100], seeds=2
    )
    results = {
        "mode-decoder-only-rotary-zero-seed1": {"exact": {"10": 100.0, "100": 85.0}},
        "mode-decoder-only-rotary-zero-seed2": {"exact": {"10": 100.0, "100": 95.0}},
        "parity-decoder-only-rotary-zero-seed2": {"exact": {"10": 60.0, "100": 50.4}},
    }
    same = {"family": "decoder-only", "positions": "rotary", "start": "zero"}
    assert STUDY.table(fields, results) == [
        {"task": "mode", **same, "10": "100", "100": "90", "paper": "generalizes", "measured": "generalizes"},
        {"task": "parity", **same, "10": "60", "100": "50", "paper": "does not", "measured": "not learned"},
    ]
    (figure,) = STUDY.plot(fields, results).values()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mode, decoder-only", "parity, decoder-only"]
    assert [np.asarray(axes.lines[0].get_ydata()).tolist() for axes in figure.axes] == [[100, 90], [60, 50.4]]
