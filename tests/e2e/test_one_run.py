"""One run folder, one run; and a folder that cannot be written or read."""

import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Run, TinyRun, command, environment, tree
from disks import make_unreadable
from processes import wait_until

from nmt.locks import IN_USE, holding_folder, holding_output

HELD = r"nmt: {}: in use by process \d+ on \S+ since [^:]+ [\d:+-]+: nmt.* \(wait for it, end it, or write to .*\)\n"
STAGES = ("text", "tokenizer", "prepare", "train", "bundle", "evaluate")
SKIPPED = [f"{stage}: skipped, its inputs have not changed" for stage in STAGES]


def may_mount() -> bool:
    return bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-Urm", "true"], check=False).returncode


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), cwd="/"
    )


def test_of_two_runs_in_a_folder_the_second_is_told_of_the_first_which_ends_as_if_alone(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = ("run", tiny.recipe, "--run-dir", folder)
    first = start(*arguments)
    wait_until(lambda: (folder / "log.jsonl").exists(), first)
    for words in ("run", "train", "prepare"):
        said = nmt_here(words, tiny.recipe, "--run-dir", folder)
        assert (said.code, said.out) == (4, "")
        assert re.fullmatch(HELD.format(re.escape(str(folder))), said.err)
        assert f"in use by process {first.pid} on " in said.err
    assert nmt_here("checkpoints", "list", folder).code in (0, 4)  # which only reads; there may be none yet
    assert first.communicate()[1].count(b"Traceback") == 0
    assert first.returncode == 0
    assert (folder / "model" / "model.safetensors").read_bytes() == (tiny.model / "model.safetensors").read_bytes()
    # Another test may hold the shared folder, to average its checkpoints.
    assert tree(folder).keys() == tree(tiny.folder).keys() - {".in-use"}
    again = nmt_here(*arguments)
    assert (again.code, again.messages) == (0, SKIPPED)


def test_two_runs_started_at_once_are_one_run_and_one_line(tiny: TinyRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    both = [start("prepare", tiny.recipe, "--run-dir", folder) for _ in range(2)]
    said = [process.communicate()[1].decode() for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes
    for code, text in zip(codes, said, strict=True):
        assert "Traceback" not in text
        assert code == 0 or (code == 4 and re.fullmatch(HELD.format(re.escape(str(folder))), text)), text
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(
    "words",
    [
        ("run", "RECIPE", "--run-dir", "RUN"),
        ("tokenizer", "train", "RECIPE", "--run-dir", "RUN"),
        ("checkpoints", "average", "RUN", "-o", "OUT"),
        ("export", "RUN/model", "--to", "ctranslate2"),
    ],
)
def test_what_writes_into_a_run_folder_leaves_one_alone_that_is_in_use(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tiny.copy(tmp_path / "run")
    names = {"RECIPE": str(tiny.recipe), "OUT": str(tmp_path / "out")}
    arguments = [names.get(word, word).replace("RUN", str(folder)) for word in words]
    with holding_folder(folder):
        before = tree(folder)
        said = nmt_here(*arguments)
        assert said.code == 4
        assert re.fullmatch(HELD.format(re.escape(str(folder))), said.err)
        assert tree(folder) == before
        assert nmt_here("checkpoints", "verify", folder).code == 0
        assert nmt_here("translate", folder / "model", stdin=b"Hello.\n").code == 0
    assert not (tmp_path / "out").exists()


def test_an_average_that_another_one_writes_is_left_alone(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    with holding_output(tmp_path / "out"):
        said = nmt_here("checkpoints", "average", tiny.copy(tmp_path / "run"), "-o", tmp_path / "out")
    assert said.code == 4
    assert re.fullmatch(HELD.format(re.escape(str(tmp_path / "out"))), said.err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("clean", "IN.en", "IN.de", "-o", "OUT"), ("synthesize", "FOLDER")])
def test_files_of_two_sides_are_never_of_two_commands(nmt_here: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "in.en").write_text("a small dog\n")
    (tmp_path / "in.de").write_text("ein kleiner Hund\n")
    output = tmp_path / "train"
    names = {"IN.en": tmp_path / "in.en", "IN.de": tmp_path / "in.de", "OUT": output, "FOLDER": tmp_path}
    with holding_output(output):
        said = nmt_here("data", *(names.get(word, word) for word in words))
    assert said.code == 4
    assert re.fullmatch(HELD.format(re.escape(str(output))), said.err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.de", "in.en"]


def test_the_lock_of_a_killed_run_is_in_nobodys_way(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("prepare", tiny.recipe, "--run-dir", folder)
    wait_until((folder / IN_USE).exists, process)
    process.kill()
    process.communicate()
    assert (folder / IN_USE).exists()
    assert nmt_here("prepare", tiny.recipe, "--run-dir", folder).code == 0
    assert not (folder / IN_USE).exists()


@pytest.mark.skipif(not may_mount(), reason="may not mount a disk that is read-only here")
@pytest.mark.parametrize("is_finished", [True, False])
def test_on_a_read_only_disk_a_finished_run_is_skipped_and_another_is_one_line(
    tiny: TinyRun, tmp_path: Path, is_finished: bool
) -> None:
    folder = tiny.copy(tmp_path / "disk" / "run")
    if not is_finished:
        shutil.rmtree(folder / "evaluation")
    run = shlex.join(command("run", tiny.recipe, "--run-dir", folder))
    script = f"mount --bind disk disk && mount -o remount,bind,ro disk && ! touch disk/x && {run}"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], cwd=tmp_path, capture_output=True, env=environment(), check=False
    )
    messages = done.stderr.decode().split("\n")[1:-1]  # the first is that of touch
    if is_finished:
        assert (done.returncode, messages) == (0, SKIPPED)
        assert b"Best checkpoint: " in done.stdout
    else:
        reason = "cannot be written, and its stage evaluate is not done"
        assert done.returncode == 4
        assert messages[-1] == f"nmt: {folder}: {reason} (make it writable, or take another --run-dir)"


@pytest.mark.parametrize(
    "name", ["prepared/text/manifest.json", "prepared/ids/manifest.json", "lock.json", "checkpoints/manifest.json"]
)
def test_a_stage_whose_record_cannot_be_read_is_not_made_anew(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path, name: str
) -> None:
    folder = tiny.copy(tmp_path / "run")
    make_unreadable(folder / name)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--set", "training.max_steps=210")
    assert said.code == 4
    assert said.messages[-1] == f"nmt: {folder / name}: Input/output error"
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    kept = [path for path in before if path.parent != folder]
    assert [after[path] for path in kept] == [before[path] for path in kept]


def test_a_checkpoint_that_cannot_be_read_is_no_reason_to_go_on_from_an_older_one(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    folder = tiny.copy(tmp_path / "run")
    newest = folder / "checkpoints" / "step-00000200"
    make_unreadable(newest / "model.safetensors")
    said = nmt_here("train", tiny.recipe, "--run-dir", folder, "--set", "training.max_steps=210")
    assert said.code == 4
    assert said.messages[-1] == f"nmt: {newest / 'model.safetensors'}: Input/output error"
    verified = nmt_here("checkpoints", "verify", folder)
    assert verified.code == 4
    assert "step-00000200: model.safetensors: Input/output error" in verified.lines
    assert verified.err.endswith(
        f"checkpoints are not whole, first {newest / 'model.safetensors'}: Input/output error\n"
    )


def test_a_folder_that_vanishes_under_a_run_is_one_line(tiny: TinyRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("run", tiny.recipe, "--run-dir", folder, "--set", "training.max_steps=100000")
    wait_until(lambda: (folder / "log.jsonl").exists(), process)
    time.sleep(0.2)
    folder.rename(tmp_path / "elsewhere")
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 4
    assert "Traceback" not in said
    assert said.split("\n")[-2].startswith(f"nmt: {folder}")
    assert said.split("\n")[-2].endswith(": No such file or directory")
