"""A disk that is full while a checkpoint is written: one line, exit 4, and nothing lost."""

import resource
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Result, Run, command, environment, tree

STEPS = 12
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 4")
    .replace("validate_every = 100", "validate_every = 100")
)


@pytest.fixture(scope="module")
def home(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run to its end, `whole`, and make of it one that was killed after its first checkpoint, `base`."""
    home = tmp_path_factory.mktemp("full_disk")
    (home / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    assert nmt_here("train", home / "tiny.toml", "--run-dir", home / "whole").code == 0
    shutil.copytree(home / "whole", home / "base")
    shutil.rmtree(home / "base" / "model")
    (home / "base" / "checkpoints" / "manifest.json").unlink()
    for path in (home / "base" / "checkpoints").iterdir():
        if path.name != "step-00000004":
            shutil.rmtree(path)
    return home


def limited(limit: int) -> Callable[[], None]:
    """Return what makes any write beyond `limit` bytes of a file fail."""

    def restrict() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return restrict


def one_line(said: Result) -> str:
    """Return the one line of a failure for which the disk is to blame."""
    assert said.code == 4, said.err
    errors = [line for line in said.messages if line.startswith("nmt: ")]
    assert errors == said.messages[-1:]
    assert "Traceback" not in said.err
    return errors[0]


def same_end(folder: Path, whole: Path) -> None:
    assert tree(folder / "checkpoints") == tree(whole / "checkpoints")
    weights = "model/model.safetensors"
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()
    assert tree(folder).keys() == tree(whole).keys()


# Smaller than the weights; smaller than Adam's moments alone.
@pytest.mark.parametrize("share", ["model.safetensors", "optimizer.safetensors"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_it(
    nmt_here: Run, home: Path, tmp_path: Path, share: str
) -> None:
    folder, recipe = tmp_path / "run", home / "tiny.toml"
    shutil.copytree(home / "base", folder)
    limit = (folder / "checkpoints" / "step-00000004" / share).stat().st_size - 1000
    done = subprocess.run(
        command("train", recipe, "--run-dir", folder),
        capture_output=True,
        env=environment(),
        preexec_fn=limited(limit),
        timeout=120,
        check=False,
    )
    line = one_line(Result(done.returncode, done.stdout.decode(), done.stderr.decode()))
    assert f"/{share}: cannot be written: " in line
    assert "File too large" in line
    assert line.endswith(" (free some space and run again)")
    verified = nmt_here("checkpoints", "verify", folder)
    assert (verified.code, verified.lines) == (0, ["step-00000004: whole"])
    assert not list(folder.rglob("*.partial"))
    again = nmt_here("train", recipe, "--run-dir", folder)
    assert "train: resuming after step 4" in again.messages
    assert again.code == 0
    same_end(folder, home / "whole")


def namespaces() -> bool:
    """Tell whether this user may mount a file system of its own."""
    return bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-Urm", "true"], check=False).returncode


@pytest.mark.skipif(not namespaces(), reason="may not mount a small file system here")
def test_a_disk_with_no_room_for_the_next_checkpoint_is_one_line_and_goes_on_when_there_is(
    home: Path, tmp_path: Path
) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    size = sum(len(data) for data in tree(home / "base").values())
    one = sum(len(data) for data in tree(home / "base" / "checkpoints" / "step-00000004").values())
    nmt = shlex.join(command())
    train = f"{nmt} train {shlex.quote(str(home / 'tiny.toml'))} --run-dir disk/run"
    script = f"""
        mount -t tmpfs -o size={(size + one // 2) // 1024}k tmpfs disk
        cp -r {shlex.quote(str(home / "base"))} disk/run
        {train} 2> full.txt
        echo $?
        {nmt} checkpoints verify disk/run
        mount -o remount,size=1g disk
        {train} 2> again.txt
        echo $?
        cp -r disk/run kept
    """
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        env=environment(),
        timeout=240,
        check=False,
    )
    full, again = ((tmp_path / name).read_text(encoding="utf-8") for name in ("full.txt", "again.txt"))
    assert done.stdout.decode().split("\n")[:-1] == ["4", "step-00000004: whole", "0"], full + again
    assert "No space left on device" in one_line(Result(4, "", full))
    assert "train: resuming after step 4" in again
    same_end(kept, home / "whole")
