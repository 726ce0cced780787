"""The stage `alignment`: its inputs, its files, and what it says."""

from pathlib import Path

import pytest
from runs import changes, corpus, make_run, record

from nmt.data.cleaning.corpus_text import _write_pairs
from nmt.pipeline.alignment import STAGE, inputs
from nmt.pipeline.manifest import Manifest


def test_the_training_text_and_its_tags_are_inputs(tmp_path: Path) -> None:
    record(tmp_path / "run" / "prepared" / "text", **{"train/0": "1", "dev/0": "2"})
    plain = make_run(tmp_path)
    assert inputs(plain) == {"tags": [], "text": {"train/0": "1"}}
    tagged = {"train": {"a": {**corpus(tmp_path, "a"), "tags": ["<a>"]}}}
    assert changes(STAGE, make_run(tmp_path, data=tagged), plain) == ["tags"]
    assert changes(STAGE, make_run(tmp_path, model={"heads": 4}, tokenizer={"vocab_size": 999}), plain) == []


def test_the_links_are_written_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)
    name = next(iter(run.recipe.data.train))
    pairs = [("a b", "x y"), ("a", "x"), ("b", "y"), ("b a", "y x"), ("c " * 201, "z")]
    _write_pairs(run.folder.text / "train", 0, name, pairs, {"rows": len(pairs)})
    Manifest("text", {}).list_files(run.folder.text)
    STAGE.run(run, STAGE.due(run))
    assert STAGE.due(run) is None
    assert (tmp_path / "run/prepared/alignment/train/00000.txt").read_text() == "0-0 1-1\n0-0\n0-0\n0-0 1-1\n\n"
    assert set(Manifest.of(run.folder.alignment).files) == {"dictionary.tsv", "train/00000.txt"}
    assert capsys.readouterr().err.splitlines(keepends=True) == [
        "alignment: running\n",
        "alignment: 6 links of 207 source and 7 target words, 1 pairs without any; 2 words in the dictionary\n",
        "alignment: pairs too long to be aligned: 1\n",
    ]
