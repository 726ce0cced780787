"""Learning from corrections: the general text, the steps, the guard, and the bundle that is written."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TinyRun, tree

from nmt.config.learning import LearningConfig
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.dataset import DrawnPairs, Ids
from nmt.data.pairs import Pair
from nmt.data.reading.corrections import Corrections
from nmt.errors import DataError, ForgottenError, UsageError
from nmt.inference.bundle import open_bundle
from nmt.inference.engines.native import load_model
from nmt.inference.translator import Translator
from nmt.pipeline import learning
from nmt.pipeline.learning import (
    CORRECTIONS,
    GENERAL,
    agreeing,
    draw_pairs,
    encode,
    general_text,
    learn,
    plan,
    spread,
    warn_of,
)
from nmt.pipeline.lock import read_lock

FEW: dict[str, Any] = {"epochs": 2, "bound": 100.0, "dev_lines": 20}


@pytest.fixture
def corrections(tmp_path: Path, tiny: TinyRun) -> Path:
    sources, targets = read_text(tiny.folder / "prepared" / "text", "test.test")
    path = tmp_path / "c.tsv"
    rows = [f"{source}\t{target} !\n" for source, target in zip(sources, targets, strict=True)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def pairs(*names: str) -> list[Pair]:
    return [(name, name.upper()) for name in names]


def write(path: Path, count: int, word: str = "line") -> Path:
    path.write_text("".join(f"{word} {n}\tZeile {n}\n" for n in range(count)), encoding="utf-8")
    return path


def test_the_corrections_come_nearer_and_the_scores_of_both_are_kept(
    tiny: TinyRun, corrections: Path, tmp_path: Path
) -> None:
    before = tree(tiny.model)
    config = LearningConfig(epochs=12, learning_rate=2e-3, bound=100.0)
    outcome = learn(tiny.model, corrections, tmp_path / "new", config)
    old, new = (each[CORRECTIONS]["chrf"]["score"] for each in (outcome.before, outcome.after))
    assert tree(tiny.model) == before
    bundle = open_bundle(tmp_path / "new")
    old_weights, weights = (load_model(one).weights() for one in (open_bundle(tiny.model), bundle))
    changed = {name.partition(".")[0] for name in weights if not weights[name].equal(old_weights[name])}
    assert changed == {"decoder", "decoder_norm"}
    assert bundle.config.learned == outcome.learned
    assert (outcome.corrections, outcome.learned.pairs) == (20, 14)  # the others are too long
    assert outcome.learned.parent == json.loads((tiny.model / "config.json").read_text(encoding="utf-8"))["digest"]
    assert json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8")) == outcome.after
    lock = json.loads((tmp_path / "new" / "lock.json").read_text(encoding="utf-8"))
    assert lock["parent"] == json.loads((tiny.model / "lock.json").read_text(encoding="utf-8"))
    card = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    assert f"| corrections | chrf | {new:.2f} |" in card
    assert f"| corrections | chrf | {old:.2f} |" in card.partition("Before the corrections:")[2]
    translator = Translator.load(tmp_path / "new")
    sources = [line.partition("\t")[0] for line in corrections.read_text(encoding="utf-8").splitlines()]
    wanted = [line.partition("\t")[2] for line in corrections.read_text(encoding="utf-8").splitlines()]
    likelier = []
    for one in (Translator.load(tiny.model), translator):
        scores = [each.score for each in one.score(sources, wanted)]
        likelier.append(sum(value for value in scores if not math.isnan(value)))  # lines too long for the model
    assert likelier[1] > likelier[0] + 1
    assert sum(map(str.__eq__, translator.translate_all(sources), wanted)) == outcome.right[1]
    with pytest.raises(Exception, match="a model that learned corrections has no run"):
        read_lock(tmp_path / "new" / "lock.json")


def test_the_same_corrections_make_the_same_bytes_and_another_seed_others(
    tiny: TinyRun, corrections: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        learn(tiny.model, corrections, tmp_path / name, LearningConfig(**FEW, seed=seed))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert (tmp_path / "c" / "model.safetensors").read_bytes() != (tmp_path / "a" / "model.safetensors").read_bytes()


def test_the_general_pairs_are_translated_as_before_the_more_so_the_more_they_weigh(
    tiny: TinyRun, corrections: Path, tmp_path: Path
) -> None:
    lines = read_text(tiny.folder / "prepared" / "text", "dev")
    scores = []
    for weight in (0.0, 5.0):
        config = LearningConfig(epochs=4, learning_rate=2e-3, bound=100.0, replay_weight=weight)
        learn(tiny.model, corrections, tmp_path / str(weight), config)
        scores.append([one.score for one in Translator.load(tmp_path / str(weight)).score(*lines)])
    before = [one.score for one in Translator.load(tiny.model).score(*lines)]
    free, kept = (np.nanmean(np.abs(np.array(after) - before)) for after in scores)
    assert kept < free / 2


def test_learning_draws_no_dropout(
    tiny: TinyRun, corrections: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        monkeypatch.setattr(learning, "step_seed", lambda *_, seed=number: seed)
        learn(tiny.model, corrections, tmp_path / str(number), LearningConfig(**FEW))
    assert tree(tmp_path / "0") == tree(tmp_path / "1")


def test_a_bundle_that_loses_more_than_the_bound_is_not_written(
    tiny: TinyRun, corrections: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([20.0, 19.5, 20.0, 19.49])

    def scores_of(*_: Any) -> Any:
        value = {"bleu": {"score": next(scores), "signature": "x"}}
        return 0, {CORRECTIONS: value, GENERAL: value}

    monkeypatch.setattr(learning, "scores_of", scores_of)
    config = LearningConfig(epochs=1, bound=0.5, dev_lines=20)
    learn(tiny.model, corrections, tmp_path / "within", config)
    with pytest.raises(ForgottenError) as caught:
        learn(tiny.model, corrections, tmp_path / "beyond", config)
    assert str(caught.value) == (
        "20 general pairs lose 0.51 BLEU, from 20.00, more than --bound 0.5; nothing is written "
        "(lower --epochs or --learning-rate, or raise --replay-weight)"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.tsv", "within"]


def test_the_general_text_is_that_of_the_run_folder(tiny: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "LEAST", 5)
    bundle = open_bundle(tiny.model)
    general = general_text(bundle, LearningConfig(dev_lines=5))
    text = tiny.folder / "prepared" / "text"
    train = set(zip(*read_text(text, "train"), strict=True))
    assert general.dev[:3] == spread(list(zip(*read_text(text, "dev"), strict=True)), 3)
    assert len(set(general.dev[3:]) & train) == 2
    assert set(general.replay) <= train - set(general.dev)
    assert len(general.replay) > 600


def test_files_of_general_pairs_are_replayed_and_a_part_is_held_out(tiny: TinyRun, tmp_path: Path) -> None:
    alone = open_bundle(tiny.copy_model(tmp_path / "alone"))
    replay = write(tmp_path / "r.tsv", 200)
    general = general_text(alone, LearningConfig(replay=[replay]))
    assert (len(general.replay), len(general.dev)) == (160, 40)
    assert not {source for source, _ in general.replay} & {source for source, _ in general.dev}
    dev = write(tmp_path / "d.tsv", 30, "dev")
    given = general_text(alone, LearningConfig(replay=[replay], dev=dev))
    assert (len(given.replay), given.dev[0]) == (200, ("dev 0", "Zeile 0"))
    of_run = general_text(alone, LearningConfig(run=tiny.folder, dev=dev))
    assert len(of_run.replay) > 700


def test_without_general_text_it_says_what_is_missing(tiny: TinyRun, tmp_path: Path) -> None:
    alone = open_bundle(tiny.copy_model(tmp_path / "alone"))
    with pytest.raises(UsageError) as caught:
        general_text(alone, LearningConfig())
    assert str(caught.value) == (
        f"{alone.path}: no general text, of which some is learned again so that it is not forgotten (give --replay "
        "FILE, general pairs such as the model was trained on, or --run RUN, its run folder)"
    )
    with pytest.raises(
        UsageError, match=r"no run folder with its prepared text \(give --replay FILE, or `nmt prepare`\)"
    ):
        general_text(alone, LearningConfig(run=tmp_path))
    with pytest.raises(DataError, match=r"^4 general pairs to score, and at least 10 are needed"):
        general_text(alone, LearningConfig(replay=[write(tmp_path / "r.tsv", 100)], dev=write(tmp_path / "d.tsv", 4)))


def test_general_pairs_with_a_word_that_was_corrected_are_left_out() -> None:
    general = [("a", "Eine Dame, ein Hund."), ("b", "Eine Frau!"), ("c", "Die Frauen."), ("d", "Ja.")]
    corrections = [("e", "Eine Dame sitzt."), ("f", "Ja, ein Hund.")]
    said = ["Eine Frau sitzt.", "Ja, ein Hund."]
    assert agreeing(general, corrections, said) == [general[0], *general[2:]]
    assert agreeing(general, corrections, ["Eine Frau und Frauen"] * 2) == general
    assert agreeing(general, corrections, [target for _, target in corrections]) == general


def test_pairs_are_drawn_over_all_shards_in_their_order(tiny: TinyRun) -> None:
    folder = tiny.folder / "prepared" / "text" / "train"
    everything = list(zip(*read_text(folder.parent, "train"), strict=True))
    assert draw_pairs(folder, 10_000, 1) == everything
    drawn = draw_pairs(folder, 50, 1)
    numbers = [everything.index(pair) for pair in drawn]
    assert len(set(drawn)) == 50
    assert numbers == sorted(numbers)
    assert drawn != draw_pairs(folder, 50, 2)


def test_each_epoch_has_every_correction_once_and_its_share_of_general_pairs() -> None:
    rng = np.random.default_rng(1)
    sides: list[list[Ids]] = [[rng.integers(4, 9, int(rng.integers(1, 9))) for _ in range(220)] for _ in range(2)]
    bounds = {CORRECTIONS: (0, 20), GENERAL: (20, 220)}
    steps = plan(DrawnPairs(*sides), bounds, LearningConfig(epochs=3, replay_share=0.75, tokens_per_step=60))
    rows = np.concatenate(steps)
    assert np.bincount(rows)[:20].tolist() == [3] * 20
    assert (rows >= 20).sum() == 3 * 60
    assert len(np.unique(rows[rows >= 20])) > 80
    assert all(len(step) <= 60 for step in steps)


def test_corrections_that_the_model_cannot_take_or_write_are_said(
    tiny: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.tsv"
    path.write_text(f"the cat sleeps .\tdie Katze .\n{'long ' * 99}\tlang\n", encoding="utf-8")
    learn(tiny.model, path, tmp_path / "new", LearningConfig(**{**FEW, "epochs": 1}))
    warn_of(Corrections(path), 0, 1)
    said = capsys.readouterr().err
    bundle, long = open_bundle(tiny.model), [("long " * 99, "lang")]
    for name, where in ((CORRECTIONS, str(path)), (GENERAL, "general pairs")):
        with pytest.raises(DataError) as caught:
            encode(bundle, {name: long}, Corrections(path))
        assert str(caught.value) == f"{where}: none fits into 63 pieces, as model.max_length wants"
    assert f"nmt: warning: {path}: corrections of more pieces than the model takes, left out: 1\n" in said
    assert f"nmt: warning: {path}: corrections with characters that the model cannot write: 1\n" in said
