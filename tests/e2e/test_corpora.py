"""Recipes of several corpora: of any format, downloaded, tagged, weighted, and split anew each epoch."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Run

from nmt.data.cleaning.corpus_text import iterate_text
from nmt.tasks.grammar import generate

RECIPE = """\
name = "mixed"
[languages]
source = "en"
target = "de"
[data.train.table]
files = "table.tsv"
weight = 2.5
tags = ["<table>"]
[data.train.lines]
source = "lines.en"
target = "lines.de"
weight = 0.5
[data.train.lines.cleaning]
max_characters = 60
[data.train.records]
files = "records.jsonl"
[data.dev]
files = "table.tsv"
pairs = 5
tags = ["<table>"]
[data.test.test]
files = "table.tsv"
pairs = 5
[cleaning]
drop_leaked = false
drop_leaked_near = false
[tokenizer]
vocab_size = 400
sampling = 0.2
[model]
d_model = 16
heads = 2
ffn = 32
encoder_layers = 1
decoder_layers = 1
[batching]
tokens_per_step = 600
[training]
max_steps = 24
checkpoint_every = 8
average_checkpoints = 1
validate_every = 24
log_every = 6
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the recipe and its corpora."""
    folder = tmp_path_factory.mktemp("mixed")
    pairs = list(generate("train", 600, 1))
    (folder / "table.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in pairs[:100]), encoding="utf-8")
    for name, side in (("lines.en.gz", 0), ("lines.de.gz", 1)):
        (folder / name).write_bytes(gzip.compress("".join(pair[side] + "\n" for pair in pairs[100:400]).encode()))
    lines = (json.dumps({"en": source, "de": target}) + "\n" for source, target in pairs[400:])
    (folder / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "mixed.toml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(mixed: Path, nmt_here: Run) -> Path:
    """Train on them."""
    said = nmt_here("train", "mixed.toml", cwd=mixed)
    assert said.code == 0, said.err
    run = mixed / "runs" / "mixed"
    shares = "table 48.7% (weight 2.5), lines 12.4% (weight 0.5), records 38.9% (weight 1)"
    assert f"train: pairs of an epoch: {shares}\n" in said.err
    return run


def test_what_each_corpus_gave_stands_in_the_manifests(trained: Path) -> None:
    text = json.loads((trained / "prepared" / "text" / "manifest.json").read_text())["counts"]
    assert {name: found["funnel"]["read"] for name, found in text["corpora"].items()} == {
        "table": 100,
        "lines": 300,
        "records": 200,
    }
    dropped = text["corpora"]["lines"]["funnel"]["dropped"]["max_characters"]
    assert dropped > 0
    assert text["funnel"]["dropped"]["max_characters"] == dropped, "only this corpus has so low a bound"
    ids = json.loads((trained / "prepared" / "ids" / "manifest.json").read_text())["counts"]
    assert sum(found["pairs"] for found in ids["corpora"].values()) == ids["pairs"]["train"] == text["pairs"]["train"]
    shares = json.loads((trained / "checkpoints" / "manifest.json").read_text())["counts"]["corpora"]
    assert shares["table"] == {"pairs": 100, "weight": 2.5, "share": pytest.approx(0.487, abs=1e-3)}


def test_tags_begin_the_sources_of_their_corpus(trained: Path) -> None:
    text = trained / "prepared" / "text"
    train = [source.startswith("<table> ") for source, _ in iterate_text(text, "train")]
    assert train == sorted(train, reverse=True)
    assert sum(train) == 100
    assert all(source.startswith("<table> ") for source, _ in iterate_text(text, "dev"))
    assert not any(source.startswith("<table> ") for source, _ in iterate_text(text, "test.test"))


def test_the_log_says_what_share_each_corpus_had(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    shares = [line["corpora"] for line in lines if "corpora" in line]
    assert len(shares) == 4
    for share in shares:
        assert list(share) == ["table", "lines", "records"]
        assert sum(share.values()) == pytest.approx(1, abs=1e-3)
    mean = {name: sum(share[name] for share in shares) / 4 for name in shares[0]}
    assert mean["table"] > mean["records"] > 0.2
    assert mean["lines"] > 0.05


def test_weights_and_splits_go_on_as_if_nothing_had_happened(trained: Path, nmt_here: Run, tmp_path: Path) -> None:
    work = tmp_path / "again"
    shutil.copytree(trained.parent.parent, work)
    run = work / "runs" / "mixed"
    for name in ("step-00000016", "step-00000024", "best-00000024"):
        shutil.rmtree(run / "checkpoints" / name)
    (run / "checkpoints" / "manifest.json").unlink()
    said = nmt_here("train", "mixed.toml", cwd=work)
    assert said.code == 0, said.err
    weights = [folder / "checkpoints" / "step-00000024" / "model.safetensors" for folder in (trained, run)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_other_weights_leave_the_text_but_are_another_training(trained: Path, nmt_here: Run, tmp_path: Path) -> None:
    work = tmp_path / "again"
    shutil.copytree(trained.parent.parent, work)
    said = nmt_here("prepare", "mixed.toml", "--set", "data.train.table.weight=1.0", cwd=work)
    assert said.code == 4
    assert "it differs in data.train.table.weight (" in said.err
    shutil.rmtree(work / "runs" / "mixed" / "checkpoints")
    said = nmt_here("prepare", "mixed.toml", "--set", "data.train.table.weight=1.0", cwd=work)
    assert said.err.splitlines()[-3:] == [
        f"{stage}: skipped, its inputs have not changed" for stage in ("text", "tokenizer", "prepare")
    ]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_corpus_is_downloaded_once_verified_and_read_from_its_archive(
    served: tuple[Path, str], nmt_here: Run, tmp_path: Path
) -> None:
    folder, url = served
    pairs = list(generate("train", 60, 1))
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        for name, side in (("data/train.en", 0), ("data/train.de", 1)):
            content = "".join(pair[side] + "\n" for pair in pairs).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    sha256 = hashlib.sha256((folder / "all.tar.gz").read_bytes()).hexdigest()
    recipe = tmp_path / "loaded.toml"
    recipe.write_text(
        f"""\
name = "loaded"
[languages]
source = "en"
target = "de"
[data]
dev_pairs = 5
test_pairs = 5
[data.downloads."all.tar.gz"]
url = ["{url}/none.tar.gz", "{url}/all.tar.gz"]
sha256 = "{sha256}"
[data.train]
source = "all.tar.gz/data/train.en"
target = "all.tar.gz/data/train.de"
[tokenizer]
vocab_size = 350
"""
    )
    cache = {"NMT_CACHE": str(tmp_path / "cache")}
    said = nmt_here("prepare", "loaded.toml", cwd=tmp_path, env=cache)
    assert said.code == 0, said.err
    assert "text: kept 60 of 60 training pairs" in said.err
    lock = json.loads((tmp_path / "runs" / "loaded" / "lock.json").read_text())
    assert sha256 in lock["data"]["train"].values()
    (folder / "all.tar.gz").unlink()
    said = nmt_here("prepare", "loaded.toml", "--run-dir", "again", cwd=tmp_path, env=cache)
    assert said.code == 0, said.err
    shutil.rmtree(tmp_path / "cache")
    said = nmt_here("prepare", "loaded.toml", "--run-dir", "third", cwd=tmp_path, env=cache)
    assert said.code == 3
    assert len(said.err.splitlines()) <= 2
    assert f"{sha256}/all.tar.gz" in said.err
