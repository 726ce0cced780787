"""The order of the doctor's checks."""

from pathlib import Path

import pytest
from checkups import checkup_of
from runs import make_run

from nmt.advice import doctor
from nmt.advice.checkup import Checkup, Finding
from nmt.advice.doctor import CHECKS, check_folder, examine
from nmt.errors import DataError, RecipeError
from nmt.pipeline.lock import Locked


def fine(_: Checkup) -> Finding:
    return Finding("OK", "fine")


def fails(_: Checkup) -> Finding:
    raise DataError("broken", hint="repair it")


def test_what_needs_a_failed_check_is_skipped_and_so_is_what_needs_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [
        ("first", fine, ()),
        ("second", fails, ("first",)),
        ("third", fine, ("first", "second")),
        ("fourth", fine, ("third",)),
        ("fifth", lambda _: Finding("skipped", "not now"), ()),
        ("sixth", fine, ("fifth",)),
        ("seventh", lambda _: Finding("warning", "hm"), ()),
        ("eighth", fine, ("seventh",)),
    ]
    monkeypatch.setattr(doctor, "CHECKS", checks)
    found = {name: (finding.level, str(finding)) for name, finding in examine(checkup_of(tmp_path).run)}
    assert found == {
        "first": ("OK", "fine"),
        "second": ("error", "broken (repair it)"),
        "third": ("skipped", "needs the check of second"),
        "fourth": ("skipped", "needs the check of third"),
        "fifth": ("skipped", "not now"),
        "sixth": ("skipped", "needs the check of fifth"),
        "seventh": ("warning", "hm"),
        "eighth": ("OK", "fine"),
    }


def test_an_error_is_kept_with_its_kind_and_the_scratch_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def look(checkup: Checkup) -> Finding:
        folders.append(checkup.scratch)
        assert checkup.scratch.is_dir()
        return fails(checkup)

    monkeypatch.setattr(doctor, "CHECKS", [("data", look, ())])
    ((_, finding),) = examine(checkup_of(tmp_path).run)
    assert isinstance(finding.error, DataError)
    assert not folders[0].exists()


def test_every_check_comes_after_those_that_it_needs() -> None:
    names = [name for name, _, _ in CHECKS]
    assert all(need in names[: names.index(name)] for name, _, needs in CHECKS for need in needs)
    assert len(set(names)) == len(names) == 21


def test_the_run_folder_is_new_or_of_this_recipe(tmp_path: Path) -> None:
    checkup = checkup_of(tmp_path)
    path = tmp_path / "run"
    assert check_folder(checkup) == Finding("OK", f"{path} is new")
    path.mkdir()
    (path / "lock.json").write_text('{"recipe": {"name": "tiny"}, "sessions": []}', encoding="utf-8")
    assert check_folder(checkup) == Finding("OK", f"{path} is of this recipe")
    (path / "lock.json").write_text('{"recipe": {"name": "other"}, "sessions": []}', encoding="utf-8")
    with pytest.raises(RecipeError, match="the run folder of recipe 'other'"):
        check_folder(checkup)


def test_a_run_has_to_be_that_of_its_lock(tmp_path: Path) -> None:
    first = make_run(tmp_path)
    first.begin()
    for seed in (1, 2):
        run = make_run(tmp_path, training={"seed": seed})
        run.locked = Locked.read(first.folder.lock)
        if seed == 1:
            assert check_folder(Checkup(run, tmp_path)).level == "OK"
        else:
            with pytest.raises(RecipeError, match=r"other than in this lock: recipe\.training\.seed \("):
                check_folder(Checkup(run, tmp_path))
