"""Expected scores: where they come from, and when one is reached."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from runs import corpus, make_run

from nmt.config.decoding import ExpectedConfig
from nmt.errors import RecipeError, UsageError
from nmt.evaluation.metrics import Scores
from nmt.experiments import reproduce as module
from nmt.experiments.reproduce import expected_scores, judge, reproduce
from nmt.files import write_json
from nmt.pipeline.evaluation import Scored
from nmt.pipeline.lock import Locked, LockedScore
from nmt.pipeline.run import Run
from nmt.training.distributed import Ranks

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def scores(bleu: float, signature: str = SIGNATURE) -> dict[str, Scores]:
    return {"t": {"bleu": {"score": bleu, "signature": signature}}}


def expected(**values: Any) -> ExpectedConfig:
    return ExpectedConfig.model_validate({"bleu": 38.5, "signature": SIGNATURE, **values})


def run_of(root: Path, **sections: Any) -> Run:
    return make_run(root, data={"test": {"t": corpus(root, "t")}}, **sections)


@pytest.mark.parametrize(
    ("bleu", "tolerance", "passed"),
    [(38.5, 0, True), (38.9, 0.5, True), (38.0, 0.5, True), (39.01, 0.5, False), (37.99, 0.5, False), (38.6, 0, False)],
)
def test_a_score_within_the_tolerance_passes(bleu: float, tolerance: float, passed: bool) -> None:
    line = f"t: BLEU {bleu:.2f}, expected 38.50 +- {tolerance:g}"
    assert judge("t", expected(tolerance=tolerance), scores(bleu)) == (passed, line)


def test_a_score_of_another_signature_is_not_comparable_but_of_another_version_is() -> None:
    assert judge("t", expected(), scores(38.5, SIGNATURE.replace("2.6.0", "2.5.1")))[0]
    other = SIGNATURE.replace("13a", "zh")
    message = f"t: BLEU 38.50, expected 38.50 +- 0.5: not comparable, the signature is {other}, not {SIGNATURE}"
    assert judge("t", expected(), scores(38.5, other)) == (False, message)


def test_the_line_says_where_the_expected_score_is_from() -> None:
    passed, line = judge("t", expected(source="a paper", is_measured=False), scores(38.5))
    assert (passed, line) == (
        True,
        "t: BLEU 38.50, expected 38.50 +- 0.5 (published, no run was compared with it; a paper)",
    )
    assert judge("x", expected(source="a run"), scores(38.5)) == (
        False,
        "x: not scored, expected 38.50 +- 0.5 (a run)",
    )


def test_the_f1_of_brackets_is_compared_where_it_is_expected() -> None:
    wanted = ExpectedConfig(bracket_f1=70.0, signature="s|version:nmt-1")
    found: dict[str, Scores] = {"t": {"bracket-f1": {"score": 69.6, "signature": "s|version:nmt-2"}}}
    assert judge("t", wanted, found) == (True, "t: bracket F1 69.60, expected 70.00 +- 0.5")
    found["t"]["bracket-f1"]["score"] = 69.4
    assert judge("t", wanted, found) == (False, "t: bracket F1 69.40, expected 70.00 +- 0.5")
    assert judge("t", wanted, scores(70.0)) == (False, "t: no bracket F1 was computed, expected 70.00 +- 0.5")
    assert judge("t", expected(), found) == (False, "t: no BLEU was computed, expected 38.50 +- 0.5")


def test_the_recorded_f1_of_brackets_is_expected_before_bleu(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.locked = locked(2.0)
    run.locked.lock.scores["t"]["bracket-f1"] = LockedScore(score=70.0, signature="f")
    (score,) = expected_scores(run).values()
    assert (score.bleu, score.bracket_f1, score.signature, score.source) == (None, 70.0, "f", "lock.json")


def locked(bleu: float | None) -> Locked:
    found = {"ter": LockedScore(score=120.0, signature="s")}
    found |= {"bleu": LockedScore(score=bleu, signature="s")} if bleu is not None else {}
    return cast("Locked", SimpleNamespace(path=Path("lock.json"), lock=SimpleNamespace(scores={"t": found})))


def test_scores_are_expected_by_the_recipe_or_else_by_the_lock(tmp_path: Path) -> None:
    run = run_of(tmp_path, expected={"t": {"bleu": 1.0, "signature": "s"}})
    run.locked = locked(2.0)
    assert {test: score.bleu for test, score in expected_scores(run).items()} == {"t": 1.0}
    run = run_of(tmp_path)
    run.locked = locked(100.00000000000004)
    (score,) = expected_scores(run).values()
    assert (score.bleu, score.signature, score.tolerance, score.source) == (100.00000000000004, "s", 0.5, "lock.json")
    for none in (None, locked(None)):
        run.locked = none
        with pytest.raises(RecipeError) as caught:
            list(reproduce(run, None))
        assert str(caught.value) == (
            f"{tmp_path / 'x.toml'}: states no expected scores "
            "(add [expected.TEST] with bleu and signature, or take the lock.json of a finished run)"
        )
        assert not run.folder.path.exists()
    masked = {"model": {"architecture": "encoder-only"}, "training": {"objective": "masked"}}
    with pytest.raises(RecipeError) as caught:
        expected_scores(run_of(tmp_path, tokenizer={"masks": 1}, **masked))
    assert str(caught.value) == f'{tmp_path / "x.toml"}: training.objective = "masked" has no scores to reproduce'


def test_all_stages_run_or_the_text_alone_where_a_model_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    stages: list[str] = []
    run = run_of(tmp_path, expected={"t": {"bleu": 38.5, "signature": SIGNATURE}})
    monkeypatch.setattr(module, "run_stages", lambda _, last: stages.append(last))
    monkeypatch.setattr(module, "score_tests", lambda *_: [Scored("t", [], scores(40.0)["t"], None, 1.0)])
    write_json(run.folder.scores, scores(38.6))
    assert [passed for passed, _ in reproduce(run, None)] == [True]
    assert [passed for passed, _ in reproduce(run, tiny_model)] == [False]
    assert stages == ["evaluate", "text"]
    run.ranks = Ranks(rank=1, size=2)
    assert list(reproduce(run, None)) == []
    other = run_of(tmp_path, languages={"source": "en", "target": "fr"}, expected=run.recipe.model_dump()["expected"])
    with pytest.raises(UsageError) as caught:
        list(reproduce(other, tiny_model))
    assert str(caught.value) == f"{tiny_model}: translates en to de, unlike the recipe (take a model of the recipe)"
