"""`nmt prepare` in several processes: killed, interrupted, short of space or of lines, it goes on where it stopped."""

import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result, Run, environment, tree
from processes import in_group, wait_until

from nmt.data.cleaning import corpus_text
from nmt.files import read_json
from nmt.tasks.grammar import generate

SHARD = 400
PAIRS = 3000
RECIPE = TINY.replace(
    '[data.train]\nbuiltin = "train"\npairs = 800\n',
    f'[data.train.files]\nsource = "train.en"\ntarget = "train.de"\ntags = ["<f>"]\n'
    f'[data.train.made]\nbuiltin = "train"\npairs = {PAIRS // 2}\nseed = 2\n',
)
COMMAND = f"""\
from nmt.cli import main
from nmt.data.cleaning import corpus_text

if __name__ == "__main__":
    corpus_text.SHARD = {SHARD}
    main()
"""
"""`nmt`, but for the size of a shard: so small a corpus would be a single one."""
PATIENCE = 120

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is alive")


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Iterator[None]:
    """Make shards small in this process too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_text, "SHARD", SHARD)
        yield


@pytest.fixture(scope="module")
def home(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a recipe of two corpora and what it makes when it is left alone, in one process, `whole`."""
    home = tmp_path_factory.mktemp("prepare")
    pairs = list(generate("train", PAIRS, 1))
    for side, name in enumerate(("train.en", "train.de")):
        (home / name).write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    (home / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    (home / "small.py").write_text(COMMAND, encoding="utf-8")
    said = nmt_here("prepare", home / "tiny.toml", "--run-dir", home / "whole", "--workers", "1")
    assert said.code == 0, said.err
    return home


@pytest.fixture
def goes_on(nmt_here: Run, home: Path) -> Callable[[Path], Result]:
    """Return what runs it again in one process, and sees that all is there, to the last byte."""

    def run(folder: Path) -> Result:
        said = nmt_here("prepare", home / "tiny.toml", "--run-dir", folder, "--workers", "1")
        assert said.code == 0, said.err
        for name in ("prepared", "tokenizer"):
            assert tree(folder / name) == tree(home / "whole" / name)
        return said

    return run


def arguments(home: Path, folder: Path, workers: int = 2) -> list[str]:
    recipe, options = str(home / "tiny.toml"), ["--run-dir", str(folder), "--workers", str(workers)]
    return [sys.executable, str(home / "small.py"), "prepare", recipe, *options]


def prepare(home: Path, folder: Path, workers: int = 2, preexec: Callable[[], None] | None = None) -> Result:
    """Run it in processes of its own."""
    done = subprocess.run(
        arguments(home, folder, workers),
        capture_output=True,
        env=environment(),
        preexec_fn=preexec,
        timeout=PATIENCE,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(home: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own, as a shell does."""
    return subprocess.Popen(
        arguments(home, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), process_group=0
    )


def made(folder: Path) -> int:
    """Count what was made of the data so far."""
    return sum(1 for path in folder.glob("prepared/.*.growing/made/*/*.json"))


def test_the_manifest_and_the_messages_say_what_became_of_each_corpus(home: Path, tmp_path: Path) -> None:
    said = prepare(home, tmp_path / "run", workers=3)
    assert (said.code, said.out) == (0, "")
    assert tree(tmp_path / "run" / "prepared") == tree(home / "whole" / "prepared")
    counts = read_json(tmp_path / "run" / "prepared" / "text" / "manifest.json")["counts"]
    assert list(counts["corpora"]) == ["files", "made"]
    assert counts["funnel"]["read"] == PAIRS + PAIRS // 2
    for name, found in counts["corpora"].items():
        funnel = found["funnel"]
        begin = f"text: kept {funnel['kept']:,} of {funnel['read']:,} training pairs of {name}; dropped: "
        assert any(line.startswith(begin) for line in said.messages)
    assert len(list((tmp_path / "run" / "prepared" / "ids" / "train").glob("*.arrow"))) == 8 + 4


def test_killed_at_random_moments_it_leaves_nobody_behind_and_goes_on(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    rng = random.Random("kill")
    # In the text, later in it, and in the ids.
    moments: list[Callable[[], bool]] = [
        lambda: made(folder) >= 1,
        lambda: made(folder) >= 8,
        lambda: (folder / "prepared" / ".ids.growing" / "made" / "train").is_dir(),
    ]
    for reached in moments:
        process = start(home, folder)
        wait_until(reached, process)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        process.communicate(timeout=PATIENCE)
        wait_until(lambda group=process.pid: not in_group(group))  # type: ignore[misc]
        assert not (folder / "prepared" / "ids" / "manifest.json").exists()
    assert "text: skipped, its inputs have not changed" in goes_on(folder).messages


def test_control_c_is_one_line_and_the_next_run_goes_on(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    growing = folder / "prepared" / ".text.growing"
    # Before processes are started, while they begin, and while they work.
    moments: list[tuple[Callable[[int], bool], float]] = [
        (lambda _: growing.exists(), 0),
        (lambda group: len(in_group(group)) >= 3, 0.1),
        (lambda _: made(folder) >= 5, 0),
    ]
    for reached, delay in moments:
        process = start(home, folder)
        wait_until(lambda group=process.pid, reached=reached: reached(group), process)  # type: ignore[misc]
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, said.decode()) == (130, b"", "text: running\nnmt: interrupted\n")
        wait_until(lambda group=process.pid: not in_group(group))  # type: ignore[misc]
        assert not list(folder.rglob("manifest.json"))
        assert not list(folder.rglob("*.partial"))
    assert made(folder) >= 5
    goes_on(folder)


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, (130, "interrupted")), (signal.SIGTERM, (143, "terminated"))]
)
def test_a_signal_that_comes_twice_ends_all_at_once_and_cleanly(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path, number: signal.Signals, end: tuple[int, str]
) -> None:
    folder = tmp_path / "run"
    process = start(home, folder)
    wait_until(lambda: made(folder) >= 2, process)
    os.killpg(process.pid, number)
    time.sleep(0.1)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said.decode()) == (end[0], f"text: running\nnmt: {end[1]}\n")
    wait_until(lambda: not in_group(process.pid))
    assert not list(folder.rglob("*.partial"))
    goes_on(folder)


def failed(said: Result, code: int) -> str:
    """Return the one line of a failure."""
    assert said.code == code, said.err
    errors = [line for line in said.messages if line.startswith("nmt: ")]
    assert errors == said.messages[-1:]
    assert "Traceback" not in said.err
    return errors[0]


def test_a_disk_that_is_full_in_a_worker_is_one_line_and_nothing_is_lost(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path
) -> None:
    def restrict() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    folder = tmp_path / "run"
    line = failed(prepare(home, folder, preexec=restrict), 4)
    assert line.endswith(": cannot be written: File too large (free some space and run again)")
    assert line.startswith(f"nmt: {folder}/prepared/.text.growing/made/cleaned/")
    assert not list(folder.rglob("manifest.json"))
    assert not list(folder.rglob("*.partial"))
    goes_on(folder)


def namespaces() -> bool:
    """Tell whether this user may mount a file system of its own."""
    return bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-Urm", "true"], check=False).returncode


@pytest.mark.skipif(not namespaces(), reason="may not mount a small file system here")
def test_a_disk_that_fills_up_is_one_line_and_the_run_goes_on_when_there_is_room(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    script = f"""
        mount -t tmpfs -o size=300k tmpfs disk
        {shlex.join(arguments(home, Path("disk/run")))} 2> said.txt
        echo $?
        cp -r disk/run kept
    """
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], cwd=tmp_path, capture_output=True, env=environment(), check=False
    )
    said = Result(int(done.stdout), "", (tmp_path / "said.txt").read_text(encoding="utf-8"))
    assert failed(said, 4).endswith(": cannot be written: No space left on device (free some space and run again)")
    kept = tmp_path / "kept"
    assert made(kept) > 0
    assert not list(kept.rglob("manifest.json"))
    assert not list(kept.rglob("*.partial"))
    goes_on(kept)


def test_a_file_that_turns_out_too_short_ends_it_and_mended_it_begins_anew(
    home: Path, nmt_here: Run, tmp_path: Path
) -> None:
    own, folder = tmp_path / "own", tmp_path / "run"
    own.mkdir()
    for name in ("tiny.toml", "small.py", "train.en", "train.de"):
        shutil.copy(home / name, own)
    lines = (own / "train.de").read_bytes().split(b"\n")
    (own / "train.de").write_bytes(b"\n".join(lines[:2000]) + b"\n")
    assert failed(prepare(own, folder), 3) == (
        f"nmt: {own}/train.en has {PAIRS} lines but {own}/train.de has 2000 "
        "(the two files of a corpus are translations line by line)"
    )
    assert not list(folder.rglob("manifest.json"))
    shutil.copy(home / "train.de", own)
    for expected in (": running", ": skipped, its inputs have not changed"):
        said = nmt_here("prepare", own / "tiny.toml", "--run-dir", folder, "--workers", "1")
        assert [f"{stage}{expected}" in said.messages for stage in ("text", "tokenizer", "prepare")] == [True] * 3
    assert tree(folder / "prepared" / "ids") == tree(home / "whole" / "prepared" / "ids")


def test_a_worker_that_is_killed_is_one_line_and_the_next_run_goes_on(
    home: Path, goes_on: Callable[[Path], Result], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start(home, folder)
    wait_until(lambda: made(folder) >= 1, process)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE)
    assert failed(Result(process.returncode, "", said.decode()), 1) == (
        "nmt: a process that prepares data was killed, perhaps for lack of memory "
        "(run it again, it goes on where it stopped; fewer --workers need less memory)"
    )
    wait_until(lambda: not in_group(process.pid))
    goes_on(folder)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that prepare the data."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"nmt.processes" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_weights_and_temperature_prepare_nothing_anew_and_other_keys_do(
    home: Path, nmt_here: Run, tmp_path: Path
) -> None:
    folder = shutil.copytree(home / "whole", tmp_path / "run")

    def running(*keys: str) -> dict[str, Any]:
        options = [word for key in keys for word in ("--set", key)]
        said = nmt_here("prepare", home / "tiny.toml", "--run-dir", folder, *options)
        assert said.code == 0, said.err
        return dict(line.split(": running", 1) for line in said.messages if ": running" in line)

    assert running("data.train.made.weight=3") == {}
    assert running("data.temperature=5") == {}
    assert list(running("cleaning.max_pieces=20")) == ["prepare"]
    assert next(iter(running("data.train.made.tags=['<m>']"))) == "text"
