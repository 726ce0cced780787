"""Validation: the likelihood of dev, its perplexity, the ranking of results and early stopping."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nmt.config.decoding import EvaluationConfig
from nmt.config.model import ModelConfig
from nmt.config.recipe import Recipe
from nmt.config.training import TrainingConfig
from nmt.data.directions import Direction
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import Pairs
from nmt.inference.translator import Translator
from nmt.model.families import build
from nmt.model.protocol import Model
from nmt.training.checkpoint import TrainingState
from nmt.training.distributed import Ranks
from nmt.training.validation import (
    DevPart,
    DevSet,
    Validation,
    dev_nll,
    dev_parts,
    perplexity,
    rank_validation,
    validate,
    validate_loss,
)

V = 12
METRICS = EvaluationConfig(tokenize="13a")
ROWS = [([5, 6, 7], [8, 9]), ([4], [5, 6, 7, 8]), ([9, 10], [11]), ([7, 7, 7, 7, 7], [6])]


class Listed(Pairs):
    """Some pairs of ids."""

    def __init__(self, rows: list[tuple[list[int], list[int]]]) -> None:
        self.rows = rows
        self.src_lengths = np.array([len(src) + 1 for src, _ in rows])
        self.tgt_lengths = np.array([len(tgt) + 1 for _, tgt in rows])

    def sides(self, indices: Ints) -> Any:
        return zip(*(self.rows[index] for index in indices), strict=True)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 2, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.5}
    return build(ModelConfig.model_validate(shape), V, V)


def expected_nll(model: Model, rows: list[tuple[list[int], list[int]]]) -> float:
    total = 0.0
    with torch.no_grad():
        for src, tgt in rows:
            logits = model(torch.tensor([[*src, 3]]), torch.tensor([[2, *tgt]]))[0]
            total += float(F.cross_entropy(logits, torch.tensor([*tgt, 3]), reduction="sum"))
    return total


@pytest.mark.parametrize("batch_tokens", [6, 100])
def test_the_likelihood_of_dev_is_summed_over_its_real_pieces(model: Model, batch_tokens: int) -> None:
    nll, tokens = dev_nll(model.eval(), cast("Any", Listed(ROWS)), batch_tokens, Ranks())
    assert tokens == sum(len(tgt) + 1 for _, tgt in ROWS)
    assert nll == pytest.approx(expected_nll(model, ROWS), rel=1e-5)


def test_each_rank_takes_a_share_of_the_batches(model: Model) -> None:
    shares = [dev_nll(model.eval(), cast("Any", Listed(ROWS)), 6, Ranks(rank, 3)) for rank in range(3)]
    assert all(tokens for _, tokens in shares)
    assert sum(tokens for _, tokens in shares) == sum(len(tgt) + 1 for _, tgt in ROWS)
    assert sum(nll for nll, _ in shares) == pytest.approx(expected_nll(model, ROWS), rel=1e-5)


class Echo:
    """Stands for a translator: it returns the source in capitals."""

    batch_tokens = 100

    def stream(self, lines: list[str]) -> Any:
        return (SimpleNamespace(text=line.upper()) for line in lines)


def test_a_validation_holds_the_loss_of_a_piece_and_the_bleu_of_the_translations(model: Model) -> None:
    dev = DevSet(["a b c d e", "f g h i", "j", "k"], ["A B C D E", "F G H I", "J", "K"], cast("Any", Listed(ROWS)))
    model.train()  # dropout would change the loss
    found = validate(model, cast("Translator", Echo()), dev, Ranks(), METRICS)
    assert found.loss == pytest.approx(expected_nll(model.eval(), ROWS) / 12, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    assert (found.bleu, found.chrf) == pytest.approx((100, 100))
    assert (found.bracket_f1, found.strict_f1, found.strict_signature) == (None, None, None)
    assert "tok:13a" in str(found.signature)
    assert "nw:0" in str(found.chrf_signature)
    other = DevSet(dev.sources, ["a b c d e", "f g h i", "J", "K"], dev.pairs)
    worse = validate(model, cast("Translator", Echo()), other, Ranks(), METRICS)
    assert worse.bleu is not None
    assert worse.bleu < 50
    lowercase = validate(
        model, cast("Translator", Echo()), other, Ranks(), METRICS.model_copy(update={"lowercase": True})
    )
    assert (lowercase.bleu, lowercase.chrf) == pytest.approx((100, 100))
    words = METRICS.model_copy(update={"chrf_word_order": 2})
    assert "nw:2" in str(validate(model, cast("Translator", Echo()), dev, Ranks(), words).chrf_signature)


def test_brackets_are_scored_where_dev_is_of_trees(model: Model) -> None:
    trees = ["(S (A a) (. .))", "(S (NP (A a)) (B b))"]
    dev = DevSet(["(s (a a) (b .))", "(s (np (a a)) (b b))"], trees, cast("Any", Listed(ROWS)))
    found = [SimpleNamespace(text=text) for text in ("(S (A a) (B .))", trees[1])]
    parser = SimpleNamespace(batch_tokens=100, stream=lambda _: found)
    validation = validate(model, cast("Translator", parser), dev, Ranks(), METRICS)
    assert (validation.bracket_f1, validation.strict_f1) == pytest.approx((100, 80))
    assert "lines:all" in str(validation.strict_signature)
    state = TrainingState(metric="strict-f1", step=5)
    assert rank_validation(state, validation, TrainingConfig(best_metric="strict-f1"))
    assert state.ranked == [(validation.strict_f1, 5)]


def test_without_translations_a_validation_is_the_loss_alone(model: Model) -> None:
    class Second(Ranks):
        def gather(self, value: Any) -> list[Any]:
            return [value, (6.0, 2)]

    model.train()
    pairs = cast("Any", Listed(ROWS))
    dev = DevSet([], [], pairs)
    found = validate_loss(model, dev, 100, Ranks())
    assert found == Validation(found.loss, None, None, None, None)
    assert found.loss == pytest.approx(expected_nll(model.eval(), ROWS) / 12, rel=1e-5)
    nll, tokens = dev_nll(model, pairs, 6, Ranks(0, 2))
    assert validate_loss(model, dev, 6, Second(0, 2)).loss == pytest.approx((nll + 6.0) / (tokens + 2))


def test_several_dev_sets_without_translations_have_a_loss_each_and_their_mean_counts(model: Model) -> None:
    direction = Direction(None, None)
    parts = {"a": DevPart(range(1), direction, "13a"), "b": DevPart(range(1, 4), direction, "13a")}
    found = validate_loss(model, DevSet([], [], Listed(ROWS), parts), 100, Ranks())
    alone = [validate_loss(model, DevSet([], [], Listed(rows)), 100, Ranks()).loss for rows in (ROWS[:1], ROWS[1:])]
    assert [part.loss for part in found.parts.values()] == pytest.approx(alone)
    assert found.loss == pytest.approx(sum(alone) / 2)


def test_a_loss_that_is_no_number_is_ranked_last_and_kept_as_none() -> None:
    config, state = TrainingConfig(best_metric="loss", average_checkpoints=3, average="best"), TrainingState()
    for step, loss in ((1, math.nan), (2, 3.0), (3, 2.0)):
        state.step = step
        rank_validation(state, Validation(loss), config)
    assert state.ranked == [(2.0, 3), (3.0, 2), (None, 1)]
    assert TrainingState.read(dataclasses.asdict(state)) == state


class TwoRanks(Ranks):
    """The first of two ranks; the other one has the given share."""

    def gather(self, value: Any) -> list[Any]:
        return [value, ((6.0, 2), ["F G H I", "K"])]


def test_the_shares_of_the_ranks_are_put_together_in_the_order_of_dev(model: Model) -> None:
    dev = DevSet(["a b c d e", "f g h i", "j", "k"], ["A B C D E", "F G H I", "J", "K"], cast("Any", Listed(ROWS)))
    found = validate(model, cast("Translator", Echo()), dev, TwoRanks(0, 2), METRICS)
    assert found.bleu == pytest.approx(100)
    nll, tokens = dev_nll(model.eval(), dev.pairs, 100, Ranks(0, 2))
    assert found.loss == pytest.approx((nll + 6.0) / (tokens + 2))


def test_a_huge_loss_has_a_perplexity_that_is_still_a_number() -> None:
    assert perplexity(2.0) == math.exp(2)
    assert perplexity(700.5) == perplexity(1e9) == math.exp(700)


@pytest.mark.parametrize(
    ("metric", "found", "best_steps", "stale"),
    [
        ("bleu", [(3.0, 10.0), (2.0, 9.0), (2.5, 11.0), (9.0, 11.0)], [1, 1, 3, 3], 1),
        ("loss", [(3.0, 10.0), (2.0, 9.0), (2.5, 11.0), (2.0, 12.0)], [1, 2, 2, 2], 2),
    ],
)
def test_the_best_validation_is_the_first_of_the_highest_bleu_or_of_the_lowest_loss(
    metric: str, found: list[tuple[float, float]], best_steps: list[int], stale: int
) -> None:
    state, config = TrainingState(), TrainingConfig.model_validate({"best_metric": metric})
    for number, ((loss, bleu), best_step) in enumerate(zip(found, best_steps, strict=True), 1):
        state.step = number
        assert rank_validation(state, validation(loss, bleu), config) == (best_step == number)
        assert state.best_step == best_step
    assert state.stale == stale
    assert state.best == (11.0 if metric == "bleu" else 2.0)


@pytest.mark.parametrize(
    ("metric", "ranked"),
    [("bleu", [(11.0, 3), (11.0, 4), (10.0, 1)]), ("loss", [(2.0, 2), (2.0, 5), (2.5, 3)])],
)
def test_where_the_best_are_averaged_as_many_are_kept_of_equals_the_earlier(
    metric: str, ranked: list[tuple[float, int]]
) -> None:
    config = TrainingConfig.model_validate({"best_metric": metric, "average": "best", "average_checkpoints": 3})
    state, kept = TrainingState(), []
    for number, (loss, bleu) in enumerate([(3.0, 10.0), (2.0, 9.0), (2.5, 11.0), (9.0, 11.0), (2.0, 8.0)], 1):
        state.step = number
        kept.append(rank_validation(state, validation(loss, bleu), config))
    assert state.ranked == ranked
    assert kept == ([True, True, True, True, False] if metric == "bleu" else [True, True, True, False, True])
    assert (state.best, state.best_step) == ranked[0]
    assert state.stale == (2 if metric == "bleu" else 3)


def validation(loss: float, bleu: float, chrf: float = 0.0) -> Validation:
    return Validation(loss, bleu, "signature", chrf, "signature of chrF")


def ranked_by(metric: str, found: list[tuple[float, float, float]], kept: int = 1) -> TrainingState:
    """Return the state after validations of these losses, BLEUs and chrFs, numbered from 1."""
    values = {"best_metric": metric, "average": "best", "average_checkpoints": kept}
    state, config = TrainingState(), TrainingConfig.model_validate(values)
    for state.step, scores in enumerate(found, 1):
        rank_validation(state, validation(*scores), config)
    return state


@pytest.mark.parametrize("scores", [(0.0, 0.0, 0.0), (0.0, 0.004, 0.001), (12.3, 12.301, 12.3)])
def test_of_equal_scores_as_printed_the_lower_loss_is_better_and_is_progress(scores: tuple[float, ...]) -> None:
    falling = [(loss, score, 0.0) for loss, score in zip((5.0, 4.0, 3.0), scores, strict=True)]
    state = ranked_by("bleu", [*falling, (4.5, scores[0], 0.0)], kept=2)
    assert [step for _, step in state.ranked] == [3, 2]
    assert (state.losses, state.stale) == ([3.0, 4.0], 1)


def test_a_higher_score_is_better_whatever_the_loss() -> None:
    assert ranked_by("bleu", [(1.0, 0.0, 0.0), (9.0, 0.01, 0.0)]).best_step == 2


def test_chrf_ranks_where_it_is_the_metric() -> None:
    state = ranked_by("chrf", [(3.0, 0.0, 20.0), (2.0, 9.0, 10.0), (2.5, 0.0, 30.0), (2.4, 0.0, 30.0)])
    assert (state.best, state.best_step, state.stale) == (30.0, 4, 0)


@pytest.mark.parametrize(("metric", "best"), [("bleu", 2), ("loss", 2)])
def test_a_loss_that_is_no_number_is_the_worst(metric: str, best: int) -> None:
    state = ranked_by(metric, [(math.nan, 0.0, 0.0), (3.0, 0.0, 0.0), (math.nan, 0.0, 0.0)], kept=3)
    assert (state.best_step, state.stale) == (best, 1)
    assert state.losses == [3.0, None, None]


def test_what_an_older_nmt_ranked_without_losses_still_ranks_behind_equals_with_one() -> None:
    state = TrainingState.read({"step": 3, "metric": "bleu", "ranked": [[5.0, 2], [0.0, 1]], "stale": 1})
    config = TrainingConfig(average="best", average_checkpoints=3)
    for state.step, bleu in ((4, 5.0), (5, 4.0)):
        rank_validation(state, validation(2.0, bleu), config)
    assert state.ranked == [(5.0, 4), (5.0, 2), (4.0, 5)]
    assert (state.losses, state.stale) == ([2.0, None, 2.0], 1)


class Facing(Echo):
    """Returns the source in capitals where it is into German, as it is else."""

    def __init__(self, target: str | None = None) -> None:
        self.target = target

    def facing(self, direction: Direction) -> "Facing":
        return Facing(direction.target)

    def stream(self, lines: list[str]) -> Any:
        return (SimpleNamespace(text=line.upper() if self.target == "de" else line) for line in lines)


def many(**data: Any) -> Recipe:
    train = {name: {"files": "t.tsv", "direction": name} for name in ("en-de", "en-zh")}
    return Recipe.model_validate({"name": "x", "languages": {"directions": [*train]}, "data": {"train": train, **data}})


def test_each_dev_set_is_scored_in_its_direction_and_their_means_are_taken(model: Model) -> None:
    parts = dev_parts(many(), {"en-de": (0, 3), "en-zh": (3, 4)})
    assert {name: (part.rows, part.tokenize, part.direction.languages) for name, part in parts.items()} == {
        "en-de": (range(3), "13a", ("en", "de")),
        "en-zh": (range(3, 4), "zh", ("en", "zh")),
    }
    assert parts["en-zh"].direction.tags == ("<2zh>", "<2de>")
    sources, references = ["a b c d", "e f g h", "j", "k l m n"], ["A B C D", "E F G H", "J", "x"]
    dev = DevSet(sources, references, cast("Any", Listed(ROWS)), parts)
    found = validate(model, cast("Translator", Facing()), dev, Ranks(), METRICS)
    assert [*found.parts] == ["en-de", "en-zh"]
    first, second = found.parts.values()
    assert (first.bleu, first.chrf) == pytest.approx((100, 100))
    assert second.chrf == 0
    assert first.loss == pytest.approx(expected_nll(model.eval(), ROWS[:3]) / 10, rel=1e-5)
    assert second.loss == pytest.approx(expected_nll(model.eval(), ROWS[3:]) / 2, rel=1e-5)
    assert found.loss == pytest.approx((first.loss + second.loss) / 2)
    assert found.chrf == pytest.approx(50)
    assert "tok:zh" in str(second.signature)
    assert found.signature is None
    assert found.chrf_signature == first.chrf_signature


def test_one_dev_set_of_a_later_direction_is_validated_in_it(model: Model) -> None:
    recipe = many(dev={"files": "d.tsv", "direction": "en-zh"})
    parts = dev_parts(recipe, {"dev": (0, 4)})
    dev = DevSet(["a", "b", "c", "d"], ["a", "b", "c", "d"], cast("Any", Listed(ROWS)), parts)
    found = validate(model, cast("Translator", Facing("de")), dev, Ranks(), METRICS)
    assert found.parts == {}
    assert found.chrf == pytest.approx(100)
    assert "tok:zh" in str(found.signature)


def test_one_direction_and_one_dev_set_have_no_parts() -> None:
    values = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": {"train": {"files": "t.tsv"}}}
    assert dev_parts(Recipe.model_validate(values), {"dev": (0, 4)}) == {}
