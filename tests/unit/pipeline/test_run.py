"""A run: its corpora, its lock, its initial model, and the folders that it refuses."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runs import corpus, make_run, unpack_old_run

from nmt import devices, runtime
from nmt.cores import cores
from nmt.errors import ArtifactError, RecipeError, UsageError
from nmt.files import digest_file, read_json, write_json
from nmt.pipeline import run as module
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.training.distributed import Ranks
from nmt.training.init_from import InitialModel


def test_corpora_are_named_by_split_and_name(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    run = make_run(tmp_path, data={"dev": files, "test": {"t": files}})
    assert list(run.corpora) == ["train.a", "train.b", "dev", "test.t"]
    assert list(make_run(tmp_path, data={"train": files}).corpora) == ["train"]


def test_every_file_has_its_digest(tmp_path: Path) -> None:
    digests = make_run(tmp_path).data_digests
    expected = {"a.tsv": digest_file(tmp_path / "a.tsv")}
    assert digests == {"train.a": expected, "train.b": expected}


def test_a_run_lies_in_runs_and_reads_beside_its_recipe_unless_told_otherwise(tmp_path: Path) -> None:
    loaded = make_run(tmp_path).loaded
    run = Run(loaded)
    assert (run.folder.path, run.root, run.local) == (Path("runs/x"), tmp_path, False)
    assert (run.workers, run.ranks) == (cores(), Ranks())
    run = Run(loaded, data_dir=Path("data"), run_dir=Path("elsewhere"), workers=3)
    assert (run.folder.path, run.root, run.local, run.workers) == (Path("elsewhere"), Path("data"), True, 3)


def test_the_lock_holds_recipe_digests_and_sessions(tmp_path: Path) -> None:
    run = make_run(tmp_path, training={"seed": 7})
    write_json(run.folder.lock, {"passes": {"size": 1}, "other": 2})
    run.folder.text.mkdir(parents=True)
    Manifest("text", {}, hub_commits={"train": "abc"}).write(run.folder.text)
    assert run.lock_of([{"began": "now"}]) == {
        "format": 2,
        "recipe": run.recipe.model_dump(),
        "seed": 7,
        "data": run.data_digests,
        "hub_commits": {"train": "abc"},
        "sessions": [{"began": "now"}],
        "passes": {"size": 1},
    }


def test_a_session_is_added_where_versions_or_machine_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    run.begin()
    assert run.folder.given.read_text() == run.loaded.text
    (session,) = read_json(run.folder.lock)["sessions"]
    assert session == {
        "began": session["began"],
        "versions": runtime.versions(),
        "machine": devices.machine(),
        "device": devices.kind_of_device("auto"),
        "code": runtime.code(),
    }
    run.begin()
    assert read_json(run.folder.lock)["sessions"] == [session]
    monkeypatch.setattr(devices, "machine", lambda: {**session["machine"], "threads": 7})
    run.begin()
    assert read_json(run.folder.lock)["sessions"] == [session]  # a training keeps its threads
    monkeypatch.setattr(devices, "machine", lambda: {**session["machine"], "cores": 99})
    run.begin()
    assert capsys.readouterr().err == (
        "nmt: warning: machine.cores changed since this run began: results from here on may differ in their last bits\n"
    )
    assert [each["machine"]["cores"] for each in read_json(run.folder.lock)["sessions"]] == [
        session["machine"]["cores"],
        99,
    ]


def test_another_commit_of_the_same_source_is_no_other_session_and_of_an_older_nmt_no_code_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    code = {"nmt": "1", "source": "a", "commit": "x"}
    monkeypatch.setattr(runtime, "code", lambda: code)
    run.begin()
    code = {**code, "commit": "y"}
    run.begin()
    (session,) = read_json(run.folder.lock)["sessions"]
    code = {**code, "source": "b"}
    run.begin()
    assert [each["code"] for each in read_json(run.folder.lock)["sessions"]] == [session["code"], code]
    assert "warning: code.source changed since this run began" in capsys.readouterr().err
    old = {key: session[key] for key in ("began", "versions", "machine")}
    write_json(run.folder.lock, {**read_json(run.folder.lock), "sessions": [old]})
    run.begin()
    assert [each.get("code") for each in read_json(run.folder.lock)["sessions"]] == [None, code]
    assert capsys.readouterr().err == ""


def made(run: Run, stage: str, folder: Path, digest: str) -> None:
    """Let `stage` make a file with this digest."""
    folder.mkdir(parents=True, exist_ok=True)
    Manifest(stage, {}, files={"file": digest}, counts={"pairs": 1} if stage == "text" else None).write(folder)
    run.add_result(stage, folder)


def test_results_are_in_the_lock_when_they_are_known_and_gone_before_they_are_made_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.begin()
    folder = run.folder
    for stage, path in (("text", folder.text), ("train", folder.checkpoints), ("bundle", folder.bundle)):
        made(run, stage, path, f"{stage} 1")
    lock = read_json(folder.lock)
    assert lock["results"] == {
        "text": {"files": {"file": "text 1"}, "counts": {"pairs": 1}},
        "train": {"files": {"file": "train 1"}},
        "bundle": {"files": {"file": "bundle 1"}},
    }
    assert lock == {**run.lock_of(run.sessions), "results": lock["results"], "scores": {}}
    assert read_json(folder.bundle / "lock.json") == lock
    write_json(folder.scores, {"test": {"bleu": {"score": 1.5, "signature": "s"}}})
    made(run, "evaluate", folder.evaluation, "evaluate 1")
    lock = read_json(folder.lock)
    assert (list(lock["results"]), lock["scores"]["test"]["bleu"]["score"]) == (
        ["text", "train", "bundle", "evaluate"],
        1.5,
    )
    assert read_json(folder.bundle / "lock.json") == lock
    Run(run.loaded, run_dir=folder.path).begin()
    assert read_json(folder.lock) == lock
    before = folder.lock.stat().st_mtime_ns
    made(run, "train", folder.checkpoints, "train 1")  # skipped
    assert folder.lock.stat().st_mtime_ns == before
    run.drop_results("prepare")  # of which nothing is known
    assert read_json(folder.lock) == lock
    run.drop_results("train")
    assert read_json(folder.lock) == {**lock, "results": {"text": lock["results"]["text"]}, "scores": {}}
    assert read_json(folder.bundle / "lock.json") == lock, "which is still that of the bundle there"
    made(run, "train", folder.checkpoints, "train 2")
    assert list(run.results) == ["text", "train"]


@pytest.mark.parametrize("sections", [{"training": {"seed": 2}}, {"decoding": {"beam_size": 1}}])
def test_of_another_recipe_or_other_data_no_result_is_kept(tmp_path: Path, sections: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    run.begin()
    made(run, "text", run.folder.text, "1")
    make_run(tmp_path, **sections).begin()
    assert make_run(tmp_path).results == {}
    made(run, "text", run.folder.text, "1")
    (tmp_path / "a.tsv").write_text("a\tb\n", encoding="utf-8")
    Run(run.loaded, run_dir=run.folder.path).begin()
    assert run.results == {}


def test_a_lock_whose_results_are_none_is_written_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.begin()
    write_json(run.folder.lock, {**read_json(run.folder.lock), "results": 5, "scores": []})
    run.drop_results("text")
    made(run, "text", run.folder.text, "1")
    assert list(run.results) == ["text"]


def test_the_lock_records_the_threads_that_the_recipe_asks_for(tmp_path: Path) -> None:
    for asked, recorded in ((3, [3]), (None, [3]), (5, [3, 5])):
        run = make_run(tmp_path, training={"threads": asked})
        run.begin()
        assert [each["machine"]["threads"] for each in read_json(run.folder.lock)["sessions"]] == recorded


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    left = [folder / ".x.7.partial" for folder in (run.folder.path, run.folder.text.parent, run.folder.bundle)]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run.begin()
    assert not any(path.exists() for path in left)


def test_the_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_json(run.folder.lock, {"recipe": {"name": "other"}, "sessions": []})
    with pytest.raises(RecipeError) as caught:
        run.begin()
    assert str(caught.value) == f"{tmp_path / 'run'}: the run folder of recipe 'other' (take another --run-dir)"
    assert not run.folder.recipe.exists()


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.folder.path.write_text("text", encoding="utf-8")
    with pytest.raises(UsageError, match=r"run: a file, not a run folder \(take another --run-dir\)$"):
        run.refuse_other_folder()


def test_a_tokenizer_of_the_language_is_looked_for_before_anything_is_made(tmp_path: Path) -> None:
    run = make_run(tmp_path, evaluation={"tokenize": "klingon"})
    with pytest.raises(UsageError, match="unknown BLEU tokenizer 'klingon'"):
        run.begin()
    assert not run.folder.path.exists()


# Fine-tuning: from the run folder of nmt 0.1.0.


def tuned(root: Path, model: Path, **sections: Any) -> Run:
    return make_run(
        root,
        **{
            "model": {"d_model": 4, "heads": 2, "ffn": 4, "encoder_layers": 1, "decoder_layers": 1, "max_length": 64},
            "cleaning": {"max_pieces": 60},
            "training": {"init_from": str(model)},
            **sections,
        },
    )


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_old_run(tmp_path_factory.mktemp("old"))


@pytest.fixture
def old(unpacked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unpacked, tmp_path / "old"))


def test_without_one_there_is_no_initial_model(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert (run.initial, run.initial_tokenizer, run.training_identity("x")["init"]) == (None, None, None)
    assert run.placeholders == 2


@pytest.mark.parametrize("name", ["model", "checkpoints", "checkpoints/step-00000002"])
def test_a_model_or_checkpoint_of_nmt_0_1_0_can_be_trained_on(tmp_path: Path, old: Path, name: str) -> None:
    run = tuned(tmp_path, old / name)
    assert run.initial is not None
    assert run.initial.weights == digest_file(Path(run.initial.file)) == run.training_identity("x")["init"]
    assert run.initial_tokenizer is not None
    assert (run.initial_tokenizer.tags, run.placeholders) == (["<a>"], 1)


def test_a_model_in_the_run_folder_itself_is_refused(tmp_path: Path, old: Path) -> None:
    shutil.copytree(old / "model", tmp_path / "run" / "model")
    with pytest.raises(UsageError, match="lies in the run folder that would start from it"):
        _ = tuned(tmp_path, tmp_path / "run" / "model").initial


def test_an_initial_model_that_is_gone_is_remembered_where_there_are_checkpoints(tmp_path: Path, old: Path) -> None:
    first = tuned(tmp_path, old / "model")
    first.folder.path.mkdir()
    first.begin_lock()
    shutil.copytree(old / "tokenizer", first.folder.tokenizer)
    shutil.rmtree(old / "model")
    with pytest.raises(ArtifactError):
        _ = tuned(tmp_path, old / "model").initial
    shutil.copytree(old / "checkpoints", first.folder.checkpoints)
    again = tuned(tmp_path, old / "model")
    assert again.initial == first.initial
    assert again.initial_tokenizer is not None, "the copy in the run folder is there"
    with pytest.raises(ArtifactError):
        _ = tuned(tmp_path, old / "another").initial


def test_ranks_other_than_the_first_take_the_initial_model_from_the_lock(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tuned(tmp_path, old / "model")
    first.folder.path.mkdir()
    first.begin_lock()
    monkeypatch.setattr(module, "open_initial_model", lambda *_: pytest.fail("a rank opened it itself"))
    second = tuned(tmp_path, old / "model")
    second.ranks = Ranks(rank=1, size=2)
    assert second.initial == first.initial


def tokenizer(tags: list[str], placeholders: int, *, joint: bool = True) -> Any:
    return SimpleNamespace(tags=tags, placeholders=placeholders, masks=[4], joint=joint)


def test_tags_and_placeholders_that_the_initial_tokenizer_lacks_are_refused(tmp_path: Path) -> None:
    tagged = {"train": {"a": {**corpus(tmp_path, "a"), "tags": ["<a>", "<b>"]}}}
    run = make_run(tmp_path, data=tagged)
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer(["<a>"], 0)
    with pytest.raises(RecipeError) as caught:
        run.refuse_other_folder()
    assert str(caught.value) == (
        "tags <b>: not of the model that training.init_from names, which has <a> "
        "(take the tag off the corpus, or train without init_from)"
    )
    run = make_run(tmp_path, data={"protect": "x"})
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer([], 0)
    with pytest.raises(
        RecipeError, match=r"data\.protect: the model that training\.init_from names has no placeholders"
    ):
        run.refuse_other_folder()
    run.initial_tokenizer = tokenizer([], 1)
    run.refuse_other_folder()
    run = make_run(tmp_path, augmentation={"inline_tags": 0.1})
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer([], 1)
    with pytest.raises(RecipeError) as caught:
        run.refuse_other_folder()
    assert str(caught.value) == (
        "augmentation.inline_tags: the model that training.init_from names has 1 placeholders, not 2 "
        "(leave it out, or train without init_from)"
    )
    run.initial_tokenizer = tokenizer([], 2)
    run.refuse_other_folder()
    run = make_run(tmp_path, augmentation={"terms": 0.1})
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer([], 0)
    run.initial_tokenizer.term_marks = frozenset()
    with pytest.raises(RecipeError) as caught:
        run.refuse_other_folder()
    assert str(caught.value) == (
        "augmentation.terms: the model that training.init_from names has no marks for terms "
        "(leave it out, or train without init_from)"
    )
    run.initial_tokenizer.term_marks = frozenset({4, 5, 6})
    run.refuse_other_folder()


def test_monolingual_text_needs_a_joint_initial_tokenizer(tmp_path: Path) -> None:
    lines = {"language": "de", "text": "a.tsv"}
    run = make_run(tmp_path, data={"monolingual": {"x": lines}})
    assert list(run.corpora) == ["train.a", "train.b", "monolingual.x"]
    assert list(run.data_digests["monolingual.x"]) == ["a.tsv"]
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer([], 0, joint=False)
    with pytest.raises(
        RecipeError, match=r"data\.monolingual: the model that training\.init_from names has a tokenizer"
    ):
        run.refuse_other_folder()
    run.initial_tokenizer = tokenizer([], 0)
    run.refuse_other_folder()


def test_a_loss_of_the_source_needs_a_joint_initial_tokenizer_whatever_the_recipes_own(tmp_path: Path) -> None:
    shape = {"architecture": "decoder-only", "tied_embeddings": "target"}
    training = {"source_loss": 0.5, "init_from": "model"}
    run = make_run(tmp_path, model=shape, training=training, tokenizer={"joint": False})
    run.initial, run.initial_tokenizer = InitialModel("", "", "", {}), tokenizer([], 0)
    run.refuse_other_folder()
    run.initial_tokenizer = tokenizer([], 0, joint=False)
    with pytest.raises(RecipeError) as caught:
        run.refuse_other_folder()
    assert str(caught.value) == (
        "training.source_loss: the model that training.init_from names has a tokenizer for each side, and one for both "
        "is needed (begin with a model whose recipe had tokenizer.joint = true, or train without init_from)"
    )
