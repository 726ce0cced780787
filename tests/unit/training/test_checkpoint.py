"""Checkpoints: written whole, verified when read, the last and the best kept, averaged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt import cards, files
from nmt.errors import ArtifactError, NmtError
from nmt.files import digest_file, digest_json
from nmt.model import tensors as tensor_files
from nmt.training import checkpoint
from nmt.training.checkpoint import EMA, MOMENTS, STATE, WEIGHTS, Checkpoints, TrainingState, read_checkpoint
from nmt.version import __version__

IDENTITY = {"data": "abc", "model": {"d_model": 4}}


def weights(value: float) -> dict[str, Tensor]:
    return {"a.weight": torch.full((2, 3), float(value)), "b": torch.arange(4.0) * value}


def moments(value: float) -> dict[str, Tensor]:
    return {"exp_avg.a.weight": torch.full((2, 3), value / 3), "step.a.weight": torch.tensor(7.0)}


def tensors(value: float) -> dict[str, dict[str, Tensor]]:
    return {WEIGHTS: weights(value), MOMENTS: moments(value)}


def save(
    store: Checkpoints, step: int, *, ranked: list[tuple[float, int]] | None = None, halting: bool = False
) -> Path:
    return store.save(TrainingState(step=step, ranked=ranked or []), tensors(step), IDENTITY, halting=halting)


def save_best(store: Checkpoints, step: int, *ranked: tuple[float, int]) -> Path:
    store.save_best(TrainingState(step=step, metric="bleu", ranked=list(ranked)), weights(step), IDENTITY)
    return store.folder / f"best-{step:08}"


def names(store: Checkpoints) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert (tensor.dtype, tensor.shape) == (second[name].dtype, second[name].shape)
        assert torch.equal(tensor, second[name])


def test_no_checkpoint_is_outdated_while_updates_are_skipped(store: Checkpoints) -> None:
    save(store, 1)
    for step in (2, 3, 4, 5):
        state = TrainingState(step=step, in_a_row=1)
        store.save(state, {WEIGHTS: weights(1), MOMENTS: moments(1)}, IDENTITY)
    good = store.newest_good()
    assert good is not None
    assert good.state.step == 1
    save(store, 6)
    assert [path.name for path in store.paths()] == ["step-00000004", "step-00000005", "step-00000006"]


def test_what_was_saved_is_read_back(store: Checkpoints) -> None:
    state = TrainingState(
        *(12, 3, 4, "bleu", [(21.5, 8), (20.0, 12)], 2),
        micro_batch_tokens=4096,
        skipped=1,
        rollbacks=2,
        ranks=8,
        threads=4,
    )
    path = store.save(state, {WEIGHTS: weights(1.5), MOMENTS: moments(2.5)}, IDENTITY)
    assert path == store.folder / "step-00000012"
    found, damage = store.newest()
    assert found is not None
    assert damage == []
    assert (found.path, found.state, found.identity) == (path, state, IDENTITY)
    assert_equal(found.weights(), weights(1.5))
    assert_equal(found.moments(), moments(2.5))


def test_a_training_begins_with_nothing_counted() -> None:
    assert TrainingState() == TrainingState(0, 0, 0, "", [], 0, None, 0, 0, 0, 1)


def test_the_newest_card_of_other_updates_is_refused_under_its_own_digest_of_the_data(store: Checkpoints) -> None:
    store.refuse_other(lambda _: {})  # no checkpoint
    path = save(store, 10)
    store.refuse_other(lambda data: {**IDENTITY, "data": data})
    with pytest.raises(ArtifactError) as caught:
        store.refuse_other(lambda data: {"data": data, "init": "5", "model": {"d_model": 4}})
    assert str(caught.value).startswith(f"{path}: a checkpoint of another recipe: it differs in init (")
    (path / STATE).write_text("[]", encoding="utf-8")
    store.refuse_other(lambda _: {})  # a damaged card is found when it is resumed


def test_the_best_of_a_state_is_the_first_in_the_ranking() -> None:
    state = TrainingState(ranked=[(21.5, 8), (20.0, 12)])
    assert (state.best, state.best_step) == (21.5, 8)
    assert (TrainingState().best, TrainingState().best_step) == (None, None)


def test_a_bundle_holds_the_moving_average_where_there_is_one(store: Checkpoints) -> None:
    plain = read_checkpoint(save(store, 1))
    assert_equal(plain.bundle_weights(), weights(1))
    path = store.save(TrainingState(step=2), {**tensors(2), EMA: weights(0.5)}, IDENTITY)
    with_ema = read_checkpoint(path)
    assert_equal(with_ema.bundle_weights(), weights(0.5))
    assert_equal(with_ema.weights(), weights(2))
    assert_equal(store.average(1), weights(0.5))


def test_every_bit_of_a_float32_survives(store: Checkpoints) -> None:
    patterns = torch.randint(-(2**31), 2**31, (10_000,), generator=torch.Generator().manual_seed(1)).int()
    store.save(TrainingState(step=1), {WEIGHTS: {"w": patterns.view(torch.float32)}}, IDENTITY)
    assert torch.equal(read_checkpoint(store.folder / "step-00000001").weights()["w"].view(torch.int32), patterns)


def test_a_view_of_other_weights_is_saved_by_its_values(store: Checkpoints) -> None:
    whole = torch.arange(12.0).view(3, 4)
    path = store.save(TrainingState(step=1), {WEIGHTS: {"w": whole.T, "half": whole[:, :2]}}, IDENTITY)
    assert_equal(read_checkpoint(path).weights(), {"w": whole.T.contiguous(), "half": whole[:, :2].contiguous()})


def test_without_a_checkpoint_there_is_none_and_no_damage(store: Checkpoints) -> None:
    assert store.newest() == (None, [])


def test_the_newest_is_the_one_of_the_highest_step(store: Checkpoints) -> None:
    for step in (900, 1000, 20_000):
        save(store, step)
    found, _ = store.newest()
    assert found is not None
    assert found.state.step == 20_000


def test_only_the_newest_few_are_kept(store: Checkpoints) -> None:
    for step in (5, 10, 15, 20, 25):
        save(store, step)
    assert names(store) == ["step-00000015", "step-00000020", "step-00000025"]


def test_the_best_few_are_kept_besides_and_go_when_they_are_no_longer_among_them(store: Checkpoints) -> None:
    save_best(store, 5, (20.0, 5))
    save_best(store, 10, (20.0, 5), (19.0, 10))
    for step in (5, 10, 15, 20):
        save(store, step, ranked=[(20.0, 5), (19.0, 10)])
    assert names(store) == ["best-00000005", "best-00000010", *(f"step-000000{step}" for step in (10, 15, 20))]
    best = read_checkpoint(save_best(store, 25, (21.0, 25), (20.0, 5)))
    assert [path.name for path in store.best_paths()] == ["best-00000025", "best-00000005"]
    assert best.state.best_step == 25
    assert_equal(best.weights(), weights(25))
    assert sorted(path.name for path in best.path.iterdir()) == [WEIGHTS, STATE]
    assert not (store.folder / "best-00000010").exists()


def test_without_a_best_there_is_none(store: Checkpoints) -> None:
    assert store.best_paths() == []
    save(store, 5)
    assert store.best_paths() == []


def test_a_best_of_steps_that_training_did_not_repeat_goes_with_the_next_checkpoint(store: Checkpoints) -> None:
    save(store, 10)
    save_best(store, 14, (20.0, 14))
    assert [path.name for path in store.best_paths()] == ["best-00000014"]
    save(store, 20, ranked=[(19.0, 15)])  # resumed after step 10, step 14 was not that good
    assert names(store) == ["step-00000010", "step-00000020"]


def test_a_best_that_is_written_anew_after_a_kill_is_the_same(store: Checkpoints) -> None:
    save(store, 10, ranked=[(18.0, 10)])
    for _ in range(2):
        save_best(store, 12, (19.0, 12))
        save_best(store, 14, (20.0, 14), (19.0, 12))
        assert [path.name for path in store.best_paths()] == ["best-00000014", "best-00000012"]
    save(store, 20, ranked=[(20.0, 14), (19.0, 12)])
    assert names(store) == ["best-00000012", "best-00000014", "step-00000010", "step-00000020"]


def test_training_never_goes_on_from_a_best(store: Checkpoints) -> None:
    best = save_best(store, 30, (20.0, 30))
    assert store.newest() == (None, [])
    assert best.exists()
    path = save(store, 10, ranked=[(20.0, 30)])
    found, damage = store.newest()
    assert found is not None
    assert (found.path, damage) == (path, [])
    truncate(path / WEIGHTS)
    with pytest.raises(ArtifactError, match="no older checkpoint is whole"):
        store.newest()


def test_other_folders_are_no_checkpoints(store: Checkpoints) -> None:
    path = save(store, 10)
    for name in ("step-00000010.copy", "step-old", "best", "best-of-all"):
        shutil.copytree(path, store.folder / name)
    assert store.all_paths() == [path]
    found, damage = store.newest()
    assert found is not None
    assert (found.path, damage) == (path, [])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", [WEIGHTS, MOMENTS])
def test_a_damaged_newest_is_named_and_the_one_before_is_taken(store: Checkpoints, name: str, harm: Any) -> None:
    before, newest = save(store, 10), save(store, 20)
    harm(newest / name)
    found, damage = store.newest()
    assert found is not None
    assert found.path == before
    assert_equal(found.weights(), weights(10))
    assert [said.partition(": ")[0] for said in damage] == [str(newest / name)]


@pytest.mark.parametrize("harm", [truncate, empty, Path.unlink, lambda path: path.write_text('{"format": 2}')])
def test_a_damaged_state_is_named_and_the_one_before_is_taken(store: Checkpoints, harm: Any) -> None:
    before, newest = save(store, 10), save(store, 20)
    harm(newest / STATE)
    found, damage = store.newest()
    assert found is not None
    assert found.path == before
    assert len(damage) == 1
    assert re.match(f"{re.escape(str(newest / STATE))}: (missing, so this is no checkpoint$|damaged)", damage[0])


def test_where_none_is_whole_the_newest_is_named_and_nothing_is_trained_anew_in_silence(store: Checkpoints) -> None:
    paths = [save(store, step) for step in (10, 20)]
    for path in paths:
        truncate(path / WEIGHTS)
    with pytest.raises(ArtifactError) as caught:
        store.newest("; delete the folder to start anew")
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        f"{paths[1] / WEIGHTS}: damaged: its SHA-256 is not the one in state.json "
        "(no older checkpoint is whole; delete the folder to start anew)"
    )


def test_a_checkpoint_of_a_newer_format_is_refused(store: Checkpoints) -> None:
    path = save(store, 10)
    card = json.loads((path / STATE).read_text())
    (path / STATE).write_text(json.dumps({**card, "format": checkpoint.FORMAT + 1}))
    with pytest.raises(ArtifactError) as caught:
        read_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: a checkpoint of format 3; this nmt {__version__} reads formats 1 to 2 (use the nmt that wrote it)"
    )


def test_a_checkpoint_of_format_1_is_read_with_its_best_validation(store: Checkpoints) -> None:
    path = save(store, 10)
    card = {**json.loads((path / STATE).read_text()), "format": 1}
    card["state"] = {"step": 10, "epoch": 1, "offset": 3, "metric": "bleu", "best": 20.5, "best_step": 5, "stale": 1}
    del card["digest"]
    (path / STATE).write_text(json.dumps({**card, "digest": digest_json(card)}))
    expected = TrainingState(10, epoch=1, offset=3, metric="bleu", ranked=[(20.5, 5)], stale=1)
    assert read_checkpoint(path).state == expected
    assert TrainingState.read({"step": 10, "best": None, "best_step": None, "of_the_future": 1}) == TrainingState(10)


def test_a_file_that_is_no_safetensors_is_refused_though_its_digest_is_right(store: Checkpoints) -> None:
    path = save(store, 10)
    (path / WEIGHTS).write_bytes(b"pickle")
    card = json.loads((path / STATE).read_text())
    card["files"][WEIGHTS] = digest_file(path / WEIGHTS)
    del card["digest"]
    (path / STATE).write_text(json.dumps({**card, "digest": digest_json(card)}))
    with pytest.raises(ArtifactError, match=r"model\.safetensors: damaged: "):
        read_checkpoint(path).weights()


def test_a_save_that_fails_leaves_the_older_ones_and_nothing_partial(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20, 30):
        save(store, step)
    monkeypatch.setattr(cards, "write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(store, 40)
    assert names(store) == ["step-00000010", "step-00000020", "step-00000030"]
    assert store.newest()[1] == []


def test_a_disk_that_forbids_writing_is_an_error_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(NmtError) as caught:
        tensor_files.save_tensors(weights(1), tmp_path / "missing" / "w.safetensors")
    assert str(caught.value).startswith(f"{tmp_path / 'missing' / 'w.safetensors'}: cannot be written: ")


def test_what_a_killed_writer_left_is_never_taken_for_a_checkpoint(store: Checkpoints) -> None:
    path = save(store, 10)
    partial = store.folder / ".step-00000020.123.partial"
    path.rename(partial)
    save(store, 5)
    found, _ = store.newest()
    assert found is not None
    assert found.state.step == 5


def test_the_average_is_the_mean_of_the_newest_few(store: Checkpoints) -> None:
    generator = torch.Generator().manual_seed(1)
    saved = [{"w": torch.randn(50, generator=generator), "n": torch.tensor(float(step))} for step in (1, 2, 6)]
    for step, content in zip((10, 20, 30), saved, strict=True):
        store.save(TrainingState(step=step), {WEIGHTS: content}, IDENTITY)
    last_two = store.average(2)
    assert float(last_two["n"]) == 4.0
    mean = torch.stack([content["w"].double() for content in saved]).mean(0).float()
    assert_equal(store.average(3), {"w": mean, "n": torch.tensor(3.0)})
    assert_equal(store.average(99), store.average(3))
    assert_equal(store.average(1), saved[2])


def test_the_average_of_equal_weights_is_these_weights_bit_for_bit(store: Checkpoints) -> None:
    content = {"w": torch.randn(1000, generator=torch.Generator().manual_seed(2))}
    for step in (1, 2, 3):
        store.save(TrainingState(step=step), {WEIGHTS: content}, IDENTITY)
    assert_equal(store.average(3), content)


def test_the_best_have_no_part_in_the_average_of_the_newest_nor_the_newest_in_theirs(store: Checkpoints) -> None:
    ranked = [(20.0, 100), (19.0, 300), (18.0, 200)]
    for step in (100, 200, 300):
        save_best(store, step, *ranked)
    save(store, 302, ranked=ranked)
    assert_equal(store.average(5), weights(302))
    assert_equal(store.average(1, "best"), weights(100))
    assert_equal(store.average(2, "best"), weights(200))
    assert_equal(store.average(9, "best"), weights(200))
    assert [path.name for path in store.chosen(2, "best")] == ["best-00000100", "best-00000300"]


def test_checkpoints_of_different_recipes_are_not_averaged(store: Checkpoints) -> None:
    save(store, 1)
    path = store.save(TrainingState(step=2), tensors(2), {**IDENTITY, "data": "other"})
    with pytest.raises(ArtifactError) as caught:
        store.average(2)
    assert str(caught.value).startswith(f"{path}: a checkpoint of another recipe: it differs in data (")


def test_there_is_no_average_of_nothing_nor_of_a_damaged_checkpoint(store: Checkpoints) -> None:
    with pytest.raises(ArtifactError) as caught:
        store.average(3)
    assert str(caught.value) == f"{store.folder}: no checkpoint (train first)"
    save(store, 1)
    with pytest.raises(ArtifactError) as caught:
        store.average(3, "best")
    assert str(caught.value) == f"{store.folder}: no best checkpoint (train first)"
    path = save(store, 2)
    flip(path / WEIGHTS)
    with pytest.raises(ArtifactError) as caught:
        store.average(2)
    assert str(caught.value) == f"{path / WEIGHTS}: damaged: its SHA-256 is not the one in state.json"


def test_a_checkpoint_reaches_the_disk_before_it_gets_its_name(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def spy(path: Path) -> None:
        synced.append(path.name)
        assert not (store.folder / "step-00000010").exists() or path == store.folder

    monkeypatch.setattr(files, "sync", spy)
    save(store, 10)
    assert {WEIGHTS, MOMENTS, STATE} <= set(synced)
    assert synced[-1] == store.folder.name


def test_what_a_signal_saved_is_resumed_from_and_leaves_no_trace(store: Checkpoints) -> None:
    for step in (10, 20):
        save(store, step)
    save(store, 23, halting=True)
    assert names(store) == ["halt-00000023", "step-00000010", "step-00000020"]
    found, _ = store.newest()
    assert found is not None
    assert found.state.step == 23
    assert_equal(store.average(1), weights(20))
    save(store, 30)
    assert names(store) == ["step-00000010", "step-00000020", "step-00000030"]


def test_a_changed_place_in_the_order_is_found(store: Checkpoints) -> None:
    path = store.save(TrainingState(step=10, offset=4), tensors(1), IDENTITY)
    state = path / "state.json"
    state.write_text(state.read_text(encoding="utf-8").replace('"offset": 4', '"offset": 5'), encoding="utf-8")
    with pytest.raises(ArtifactError, match="its digest is not that of its content"):
        store.newest()


def test_a_survey_finds_every_checkpoint_by_step_and_what_is_wrong_with_it(store: Checkpoints) -> None:
    save_best(store, 5, (20.0, 5))
    ranked = [(20.0, 5)]
    whole, moved, changed, halt = (
        save(store, 10, ranked=ranked),
        *(save(store, step, ranked=ranked) for step in (20, 30)),
        save(store, 33, halting=True),
    )
    (moved / MOMENTS).unlink()
    truncate(changed / STATE)
    before = names(store)
    found = store.survey()
    assert [finding.path.name for finding in found] == before[:1] + [
        path.name for path in (whole, moved, changed, halt)
    ]
    assert [finding.verdict for finding in found] == [
        *("whole", "whole", f"{MOMENTS}: missing, though {STATE} names it", f"{STATE}: damaged", "whole")
    ]
    assert [finding.state and finding.state.step for finding in found] == [5, 10, 20, None, 33]
    assert [finding.step for finding in found] == [5, 10, 20, 30, 33]
    assert found[1].size == sum(path.stat().st_size for path in whole.iterdir())
    assert names(store) == before


def test_a_survey_passes_over_what_a_training_deletes_meanwhile(
    store: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = save(store, 10), save(store, 20)

    def read(path: Path) -> Any:
        shutil.rmtree(first, ignore_errors=True)
        return read_checkpoint(path)

    monkeypatch.setattr(checkpoint, "read_checkpoint", read)
    assert [finding.path for finding in store.survey()] == [second]
