"""The lock that a run is held to: what differs is named, what may not differ is refused, and nothing is written."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import corpus, make_run, unpack_old_run

from nmt import devices, runtime
from nmt.errors import ArtifactError, RecipeError
from nmt.files import digest_file, read_json, write_json
from nmt.pipeline.lock import (
    INPUTS,
    InputDifference,
    Lock,
    Locked,
    Result,
    input_differences,
    read_lock,
    results_of,
    same_bits,
)
from nmt.pipeline.run import Run
from nmt.version import __version__


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Write the lock of a run of two corpora, and return its path, outside the run folder."""
    run = make_run(tmp_path)
    run.begin()
    (tmp_path / "run").rename(tmp_path / "first")
    return tmp_path / "first" / "lock.json"


def held(root: Path, lock: Path, *, strict: bool = False, refused: frozenset[str] = INPUTS, **sections: Any) -> Run:
    """Return a run in `root`, in a new folder, that is held to `lock`."""
    run = make_run(root, **sections)
    run.locked = Locked.read(lock, strict=strict, refused=refused)
    return run


def change(lock: Path, **values: Any) -> None:
    write_json(lock, {**read_json(lock), **values})


def change_session(lock: Path, **values: Any) -> None:
    change(lock, sessions=[{**read_json(lock)["sessions"][-1], **values}])


def refusal(run: Run, lock: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """Return the lines that `run` says before it is refused, and the keys that the error names."""
    capsys.readouterr()
    with pytest.raises(RecipeError) as caught:
        run.begin()
    assert not run.folder.path.exists()
    message, end = str(caught.value), " (nothing was run; run the recipe without the lock for other results)"
    start = f"{lock}: other than in this lock: "
    assert message.startswith(start)
    assert message.endswith(end)
    return capsys.readouterr().err.splitlines(), message[len(start) : -len(end)]


def test_a_run_with_the_recipe_data_and_code_of_its_lock_begins(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = held(tmp_path, lock, strict=True)
    run.begin()
    assert capsys.readouterr().err == ""
    assert {**read_json(run.folder.lock), "sessions": 0} == {**read_json(lock), "sessions": 0}


def test_another_seed_is_named(tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, named = refusal(held(tmp_path, lock, training={"seed": 2}), lock, capsys)
    assert (lines, named) == ([f"locked: recipe.training.seed: 1 in {lock}, now 2"], "recipe.training.seed")


def test_a_changed_byte_in_the_data_is_named(tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = held(tmp_path, lock)
    before = digest_file(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_text("b\tA\n", encoding="utf-8")
    lines, named = refusal(run, lock, capsys)
    now = digest_file(tmp_path / "a.tsv")
    assert lines == [f"locked: data.train.{name}.a.tsv: '{before}' in {lock}, now '{now}'" for name in "ab"]
    assert named == "data.train.a.a.tsv, data.train.b.a.tsv"


def test_corpora_in_another_order_are_named(tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_json(lock)["recipe"]
    recipe["data"]["train"] = dict(reversed(recipe["data"]["train"].items()))
    change(lock, recipe=recipe)
    lines, named = refusal(held(tmp_path, lock), lock, capsys)
    assert (lines, named) == ([f"locked: data.order: ['b', 'a'] in {lock}, now ['a', 'b']"], "data.order")


def test_other_code_is_named_and_another_commit_is_not(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_session(lock, code={**runtime.code(), "commit": "another"})
    run = held(tmp_path, lock)
    run.begin()
    assert capsys.readouterr().err == ""
    (tmp_path / "run").rename(tmp_path / "second")
    change_session(lock, code={"nmt": "0.0.9", "source": "abc"})
    lines, named = refusal(held(tmp_path, lock), lock, capsys)
    assert lines == [
        f"locked: code.nmt: '0.0.9' in {lock}, now '{__version__}'",
        f"locked: code.source: 'abc' in {lock}, now '{runtime.code()['source']}'",
    ]
    assert named == "code.nmt, code.source"
    held(tmp_path, lock, refused=INPUTS - {"code"}).begin()
    assert capsys.readouterr().err == "\n".join(f"nmt: warning: {line[8:]}" for line in lines) + "\n"


def test_packages_machine_and_threads_are_named_and_refused_if_strict(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions, machine = runtime.versions(), devices.machine()
    change_session(lock, versions={**versions, "torch": "1.0"}, machine={**machine, "threads": 99}, device="tpu")
    lines = [
        f"versions.torch: '1.0' in {lock}, now '{versions['torch']}'",
        f"machine.device: 'tpu' in {lock}, now '{devices.kind_of_device('auto')}'",
        f"machine.threads: 99 in {lock}, now {machine['threads']}",
    ]
    said, named = refusal(held(tmp_path, lock, strict=True), lock, capsys)
    assert said == [f"locked: {line}" for line in lines]
    assert named == "versions.torch, machine.device, machine.threads"
    held(tmp_path, lock).begin()
    assert capsys.readouterr().err == "".join(f"nmt: warning: {line}\n" for line in lines)


def test_a_knob_that_changes_no_result_is_only_named(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections: dict[str, Any] = {"training": {"log_every": 7}, "description": "new"}
    lines, named = refusal(held(tmp_path, lock, strict=True, **sections), lock, capsys)
    assert named == "recipe.description, recipe.training.log_every"
    held(tmp_path, lock, **sections).begin()
    assert [line.removeprefix("nmt: warning: ") for line in capsys.readouterr().err.splitlines()] == [
        line.removeprefix("locked: ") for line in lines
    ]


def test_a_run_in_several_environments_is_compared_with_the_last(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (session,) = read_json(lock)["sessions"]
    change(lock, sessions=[{**session, "device": "tpu"}, session])
    held(tmp_path, lock).begin()
    message = "the run went on in 2 environments, of which the last one is compared"
    assert capsys.readouterr().err == f"nmt: warning: {lock}: {message}\n"


def test_the_fitted_micro_batches_are_those_of_the_lock(tmp_path: Path, lock: Path) -> None:
    fitted = {"identity": "x", "ranks": 1, "micro_batch_tokens": 64}
    change(lock, passes=fitted)
    run = held(tmp_path, lock)
    run.begin()
    assert read_json(run.folder.lock)["passes"] == fitted


def test_results_with_other_bits_are_named(lock: Path) -> None:
    change(lock, results={name: {"files": {"file": name}} for name in ("text", "train", "bundle")})
    locked = Locked.read(lock)
    found = {"text": {"files": {"file": "text"}}, "train": {"files": {"file": "other"}}}
    assert locked.compare(found) == f"results with the bits of {lock}: text; other: train"
    assert locked.compare({}) == f"results with the bits of {lock}: none; other: none"


def test_the_bits_of_results_are_compared_stage_by_stage() -> None:
    first, other = Result(files={"a": "1"}, counts={"n": 1}), Result(files={"a": "1", "b": "2"})
    assert same_bits(
        {"text": first, "ids": first, "train": first}, {"ids": other, "text": Result(files={"a": "1"})}
    ) == {
        "text": True,
        "ids": False,
    }


def test_several_locks_have_a_value_each_where_they_differ(tmp_path: Path) -> None:
    locks = []
    for seed, log_every in ((1, 5), (2, 5), (1, 6)):
        run = make_run(tmp_path, training={"seed": seed, "log_every": log_every})
        run.begin()
        locks.append((read_lock(run.folder.lock), run.recipe))
        shutil.rmtree(run.folder.path)
    assert input_differences(*locks) == [
        InputDifference("recipe", "recipe.training.log_every", (5, 5, 6), changes_results=False),
        InputDifference("recipe", "recipe.training.seed", (1, 2, 1), changes_results=True),
    ]
    assert input_differences(locks[0], locks[0]) == []


def test_the_lock_of_nmt_0_1_0_is_read_and_has_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = unpack_old_run(tmp_path) / "lock.json"
    found = read_lock(old)
    assert (found.format, found.results, found.sessions[-1].code) == (1, {}, {})
    locked = Locked.read(old)
    now = {**read_json(old), "sessions": [{**read_json(old)["sessions"][-1], "code": runtime.code()}]}
    with pytest.raises(RecipeError, match=r"other than in this lock: code\.nmt, code\.source \("):
        locked.check(locked.recipe, now)
    assert f"locked: code.source: None in {old}, now '" in capsys.readouterr().err


@pytest.mark.parametrize("number", [3, 0, "2", None, True])
def test_a_lock_of_another_format_is_one_line(lock: Path, number: object) -> None:
    change(lock, format=number)
    with pytest.raises(ArtifactError) as caught:
        read_lock(lock)
    expected = f"a lock of format {number!r}; this nmt {__version__} reads formats 1 to 2 (use the nmt that wrote it)"
    assert str(caught.value) == f"{lock}: {expected}"
    write_json(lock, {"format": 3})  # whose recipe this nmt would not know
    with pytest.raises(ArtifactError, match="a lock of format 3"):
        read_lock(lock)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"recipe": 5}'])
def test_what_is_no_lock_is_one_line(lock: Path, text: str) -> None:
    lock.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        read_lock(lock)
    assert str(caught.value) == f"{lock}: not the lock of a run (`nmt run` writes it anew)"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"sessions": []}, "sessions: List should have at least 1 item"),
        ({"data": {"train": 5}}, "data.train: must be a valid dictionary"),
        ({"results": {"text": {}}}, "results.text.files: Field required"),
        ({"scores": {"test": {"bleu": {"score": 1.0}}}}, "scores.test.bleu.signature: Field required"),
        ({"passes": {}}, "passes.identity: Field required"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_lock_is_one_line(lock: Path, values: dict[str, Any], named: str) -> None:
    change(lock, **values)
    with pytest.raises(ArtifactError) as caught:
        read_lock(lock)
    assert str(caught.value).startswith(f"{lock}: damaged: {named}")
    assert str(caught.value).endswith(" (`nmt run` writes it anew)")
    assert "\n" not in str(caught.value)


def test_a_missing_lock_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nosuch\.json: missing"):
        Locked.read(tmp_path / "nosuch.json")


def test_a_lock_says_with_which_model_a_fine_tuning_began(
    tmp_path: Path, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(lock, init={"file": "/x", "weights": "abc", "tokenizer": "/y", "tokenizer_files": {}})
    lines, named = refusal(held(tmp_path, lock), lock, capsys)
    assert named == "init.tokenizer_files, init.weights"
    assert lines[1] == f"locked: init.weights: 'abc' in {lock}, now None"


def test_results_of_a_damaged_lock_are_none() -> None:
    assert results_of({"results": 5}) == {"results": {}, "scores": {}}
    assert results_of({"results": {"a": 1}, "scores": {"b": 2}}) == {"results": {"a": 1}, "scores": {"b": 2}}


def test_a_lock_that_is_written_can_be_read(tmp_path: Path) -> None:
    run = make_run(tmp_path, data={"dev": corpus(tmp_path, "dev")})
    run.begin()
    assert read_lock(run.folder.lock) == Lock.model_validate(read_json(run.folder.lock))
