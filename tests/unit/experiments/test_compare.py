"""Why runs differ: the inputs, from which stage and step on, and what cannot be compared."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TinyRun
from runs import copy_scored, make_run

from nmt.errors import ArtifactError, UsageError
from nmt.experiments.compare import Compared, Reason, Training, compare_runs, is_reason, open_runs, training_of
from nmt.files import digest_file, read_json, write_json
from nmt.pipeline.lock import InputDifference, input_differences, read_lock

Copy = Callable[..., Path]
STAGES = ["text", "tokenizer", "prepare", "train", "bundle", "evaluate"]


@pytest.fixture
def copy(tiny: TinyRun, tmp_path: Path) -> Copy:
    return lambda name, **changes: copy_scored(tiny.folder, tmp_path / name, **changes)


def change_log(folder: Path, step: int, **values: object) -> None:
    """Change the events of a step."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    lines = [json.dumps({**event, **(values if event["step"] == step else {})}) for event in events]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")


def change_result(folder: Path, stage: str, **files: str) -> None:
    lock = read_json(folder / "lock.json")
    lock["results"][stage]["files"] |= files
    write_json(folder / "lock.json", lock)


def reason(*folders: Path) -> Reason:
    """Return why the second of two runs differs."""
    (found,) = compare_runs(open_runs(folders)).reasons.values()
    return found


def test_a_run_repeated_has_the_bits_of_the_first(copy: Copy) -> None:
    found = compare_runs(open_runs([copy("a"), copy("b")]))
    assert (found.runs, found.inputs, found.filters, found.said) == (["a", "b"], [], {}, [])
    assert found.bits == {stage: {"b": True} for stage in STAGES}
    assert found.reasons == {"b": Reason(inputs=[], stage=None, is_known=True, step=None, last_step=200)}
    assert found.trainings["a"] == found.trainings["b"]


def test_another_seed_is_named_and_the_first_step_that_differs(copy: Copy) -> None:
    first, second = copy("a"), copy("b", recipe__training__seed=2, seed=2, recipe__training__log_every=7)
    change_result(second, "train", new="x")
    change_log(second, 3, loss=1.0)
    change_log(second, 150, loss=1.0)
    change_log(second, 2, tokens_per_second=1.0)
    assert reason(first, second) == Reason(["recipe.training.seed"], "train", True, 3, 200)
    assert [each.key for each in compare_runs(open_runs([first, second])).inputs] == [
        "recipe.training.log_every",
        "recipe.training.seed",
    ]


def test_another_version_of_a_package_and_another_machine_are_named(copy: Copy) -> None:
    session = "sessions__0__"
    second = copy("b", **{f"{session}versions__torch": "1.0", f"{session}machine__threads": 9, f"{session}device": "x"})
    assert reason(copy("a"), second).inputs == ["versions.torch", "machine.device", "machine.threads"]


def test_a_changed_byte_in_the_data_is_named_by_corpus_and_file(tmp_path: Path) -> None:
    locks, digests = [], []
    for name in ("first", "second"):
        run = make_run(tmp_path)  # of two corpora that read one file
        (tmp_path / "a.tsv").write_text(f"{name[0]}\tA\n", encoding="utf-8")
        run.begin()
        digests.append(digest_file(tmp_path / "a.tsv"))
        locks.append((read_lock(run.folder.lock), run.recipe))
        run.folder.path.rename(tmp_path / name)
    assert input_differences(*locks) == [
        InputDifference("data", f"data.train.{corpus}.a.tsv", tuple(digests), changes_results=True) for corpus in "ab"
    ]


def test_a_corpus_of_one_run_alone_is_missing_file_by_file_in_the_others(copy: Copy) -> None:
    runs = open_runs([copy("a"), copy("b", data__extra={"x.tsv": "abc"})])
    (found,) = compare_runs(runs).inputs
    assert (found.key, found.values) == ("data.extra.x.tsv", (None, "abc"))


def test_code_counts_by_its_source_and_where_it_is_recorded(copy: Copy) -> None:
    first, second = copy("a"), copy("b", sessions__0__code={"nmt": "0", "source": "x", "commit": "y"})
    assert reason(first, second).inputs == ["code.nmt", "code.source"]
    assert compare_runs(open_runs([first, second])).commits["b"] == "y"
    old = copy("old", sessions__0__code={}, sessions__0__device="")
    assert reason(first, old).inputs == []
    assert reason(first, old).unrecorded == ["code", "device"]
    assert compare_runs(open_runs([first, old])).said == ["old: locked by an older nmt, which did not record its code"]
    other = copy("older", sessions__0__code={})
    assert compare_runs(open_runs([old, other])).said[0].startswith("all runs: locked by an older nmt")


@pytest.mark.parametrize(
    ("part", "changes_results", "values", "expected"),
    [
        ("recipe", True, (1, None), True),
        ("recipe", True, (1, 1), False),
        ("recipe", False, (1, 2), False),
        ("versions", False, (None, "1"), True),
        ("machine", False, ("", "cpu"), False),
        ("machine", False, ("cuda", "cpu"), True),
        ("code", True, ("x", None), False),
    ],
)
def test_an_input_is_a_reason_if_results_may_differ_by_it(
    part: str, changes_results: bool, values: tuple[Any, Any], expected: bool
) -> None:
    found = InputDifference(part, "key", ("other", *values), changes_results)
    assert is_reason(InputDifference(part, "key", values, changes_results), 1) is expected
    assert is_reason(found, 0) is False


def test_results_of_an_older_nmt_are_those_of_the_manifests(copy: Copy) -> None:
    first, second = copy("a", results={}), copy("b")
    found = open_runs([first, second])[0].results
    assert list(found) == [stage for stage in STAGES if stage != "bundle"]
    assert found["text"] == open_runs([first, second])[1].results["text"]
    assert compare_runs(open_runs([first, second])).bits["bundle"] == {"b": None}
    for manifest in first.rglob("manifest.json"):
        manifest.unlink()
    assert reason(first, second) == Reason([], None, is_known=False, step=None, last_step=200)


def test_pairs_of_the_filters_are_compared(copy: Copy) -> None:
    first, second = copy("a"), copy("b")
    lock = read_json(second / "lock.json")
    (funnel,) = (each["funnel"] for each in lock["results"]["text"]["counts"]["corpora"].values())
    before, funnel["dropped"]["copies"] = funnel["dropped"]["copies"], 5
    write_json(second / "lock.json", lock)
    assert compare_runs(open_runs([first, second])).filters == {"train, copies": {"a": before, "b": 5}}
    lock["results"]["text"]["counts"] = {"of": "another nmt"}
    write_json(second / "lock.json", lock)
    assert compare_runs(open_runs([first, second])).filters == {}


def test_curves_have_the_steps_of_all_logs(copy: Copy) -> None:
    first, second = copy("a"), copy("b")
    lines = (second / "log.jsonl").read_text().splitlines()
    (second / "log.jsonl").write_text("\n".join(line for line in lines if '"step": 100' not in line))
    change_log(second, 200, bleu=50.0)
    change_log(first, 200, bleu=0.0)
    change_log(first, 50, loss=None)  # of updates that were all skipped
    curves = compare_runs(open_runs([first, second])).curves
    assert list(curves) == ["train loss", "dev loss", "dev BLEU"]
    assert {name: list(points) for name, points in curves["dev loss"].items()} == {"a": [200], "b": [200]}
    assert curves["dev BLEU"] == {"a": {200: 0.0}, "b": {200: 50.0}}
    assert list(curves["train loss"]["a"]) == [*range(1, 50), *range(51, 100), *range(101, 201)]
    (second / "log.jsonl").unlink()
    found = compare_runs(open_runs([first, second]))
    assert (found.curves, found.said) == ({}, [f"{second / 'log.jsonl'}: missing: no curves of b"])
    (second / "log.jsonl").write_text("")
    found = compare_runs(open_runs([first, second, copy("c")]))
    assert found.said == [f"{second / 'log.jsonl'}: has no lines of a training: no curves of b"]
    assert list(found.curves["train loss"]) == ["a", "c"]
    assert reason(first, second).last_step is None


def test_train_losses_are_means_over_the_same_updates(copy: Copy) -> None:
    first, second = copy("a"), copy("b")

    def write(folder: Path, *lines: tuple[int, float, int | None]) -> None:
        events = [{"kind": "train", "step": step, "loss": loss, "tokens": tokens} for step, loss, tokens in lines]
        (folder / "log.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))

    write(first, (50, 8.0, 10), (100, 4.0, 30), (150, 3.0, 7))
    write(second, (100, 5.0, 40), (200, 3.0, 7))
    found = compare_runs(open_runs([first, second]))
    assert found.curves["train loss"] == {"a": {100: 5.0}, "b": {100: 5.0}}
    assert (found.reasons["b"].step, found.said) == (None, [])  # 4.0 and 5.0 are about other updates
    write(first, (50, 8.0, None), (100, 4.0, None))
    found = compare_runs(open_runs([first, second]))
    assert found.curves["train loss"] == {"a": {100: 6.0}, "b": {100: 5.0}}
    assert found.said[0].startswith(f"{first / 'log.jsonl'}: has no tokens: its train losses are means over updates")
    with (second / "log.jsonl").open("a") as log:
        log.write('{"kind": "train", "step": 100, "loss": 5.0, "gradient_norm": 1.0}\n')
    assert reason(first, second).step is None  # an older nmt logged fewer values
    write(first, (150, 3.0, 7))
    found = compare_runs(open_runs([first, second]))
    assert (found.curves, found.said) == (
        {},
        ["train loss: of no step in all logs, so that no two are about the same updates"],
    )


def test_a_training_has_its_tokens_seconds_and_best_checkpoint(copy: Copy) -> None:
    folder = copy("a")
    (folder / "log.jsonl").write_text(
        '{"kind": "train", "step": 1, "tokens": 30, "seconds": 3.5}\n'
        '{"kind": "dev", "step": 1, "tokens": 7}\n'
        '{"kind": "train", "step": 2, "tokens": 10, "seconds": 0.5}\n'
        '{"kind": "train", "step": 2, "tokens": 30, "seconds": 1}\n'  # repeated after a rollback
    )
    counts = read_json(folder / "lock.json")["results"]["train"]["counts"]
    training = Training(200, 70, 5.0, counts["best_step"], counts["best"], "bleu")
    assert training_of(Compared.open(folder)) == training
    (folder / "log.jsonl").write_text(
        '{"kind": "train", "step": 9, "loss": 10.0}\n'
        '{"kind": "dev", "step": 4, "bleu": 3}\n{"kind": "dev", "step": 9, "bleu": 2}\n'
    )
    lock = read_json(folder / "lock.json")
    lock["results"]["train"]["counts"] = {"steps": "damaged", "best": 1.0, "best_step": None}
    write_json(folder / "lock.json", lock)
    assert training_of(Compared.open(folder)) == Training(9, None, None, 4, 3, "bleu")
    (folder / "log.jsonl").unlink()
    assert training_of(Compared.open(folder)) == Training(None, None, None, None, None, "bleu")


def test_a_log_of_now_counts_the_tokens(copy: Copy) -> None:
    training = training_of(Compared.open(copy("a")))
    assert training.tokens
    assert training.seconds
    assert training.tokens > 200 * 100


def test_a_run_in_several_environments_is_said(copy: Copy) -> None:
    folder = copy("a")
    lock = read_json(folder / "lock.json")
    write_json(folder / "lock.json", {**lock, "sessions": lock["sessions"] * 2})
    said = compare_runs(open_runs([folder, copy("b")])).said
    assert said == ["a: the run went on in 2 environments, of which the last one is compared"]


def test_a_lock_alone_is_compared_in_all_but_curves(copy: Copy, tmp_path: Path) -> None:
    lock = copy("b", recipe__training__seed=2).rename(tmp_path / "c") / "lock.json"
    found = compare_runs(open_runs([copy("a"), lock]))
    assert found.reasons[str(lock)] == Reason(["recipe.training.seed"], None, True, None, None)
    assert found.curves == {}
    assert found.trainings[str(lock)].best == found.trainings["a"].best
    assert found.said == [f"{lock}: a lock alone has no translations; recorded scores are compared, untested"]
    write_json(lock, {**read_json(lock), "scores": {}})
    with pytest.raises(ArtifactError, match=r"lock\.json: a lock without scores \(name the run folder\)"):
        open_runs([lock, copy("x")])


def test_runs_of_one_name_are_named_by_their_paths(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    folders = [copy("a"), copy("x/a"), copy("b")]
    assert [run.name for run in open_runs(folders)] == [str(folders[0]), str(folders[1]), "b"]


def test_runs_that_cannot_be_compared_are_one_line(copy: Copy, tmp_path: Path) -> None:
    first = copy("a")
    (tmp_path / "link").symlink_to(first)

    def refusal(*paths: Path) -> str:
        with pytest.raises(UsageError) as caught:
            open_runs(paths)
        return str(caught.value)

    assert refusal(first) == "one run alone cannot be compared (nmt compare RUN_A RUN_B)"
    for twice in (first, tmp_path / "link", first / "lock.json"):
        assert refusal(first, twice) == f"{twice}: the same run twice (name each run once)"
    other = copy("b", recipe__languages={"source": "en", "target": "fr"})
    (other / "evaluation" / "test.de").rename(other / "evaluation" / "test.fr")
    assert refusal(first, other) == "b translates en to fr, a en to de (compare runs of one pair)"
