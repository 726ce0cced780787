"""The stage `prepare`: its inputs."""

from pathlib import Path
from typing import Any

import pytest
from runs import changes, corpus, make_run, record

from nmt.pipeline.ids import STAGE, inputs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record(tmp_path / "run" / "prepared" / "text", **{"train/0": "1", "dev/0": "2", "test.x/0": "3"})
    record(tmp_path / "run" / "tokenizer", **{"tokenizer.model": "4"})
    return tmp_path


def test_text_and_tokenizer_are_inputs_but_no_tests(root: Path) -> None:
    assert inputs(make_run(root)) == {
        "keep_text": False,
        "text": {"train/0": "1", "dev/0": "2"},
        "tokenizer": {"tokenizer.model": "4"},
    }


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({"cleaning": {"max_pieces": 9}}, ["cleaning.max_pieces"]),
        ({"cleaning": {"max_characters": 9}}, []),
        ({"model": {"max_length": 300}}, ["model.max_length"]),
        ({"model": {"heads": 4}}, []),
        ({"data": {"protect": "x"}}, ["data.protect"]),
        ({"tokenizer": {"placeholders": 2, "sampling": 0.1}}, ["keep_text"]),
    ],
)
def test_filters_of_pieces_length_and_kept_text_are_inputs(
    root: Path, sections: dict[str, Any], keys: list[str]
) -> None:
    assert changes(STAGE, make_run(root, **sections), make_run(root)) == keys


def test_another_probability_of_sampling_keeps_the_ids(root: Path) -> None:
    first, second = (make_run(root, tokenizer={"placeholders": 2, "sampling": alpha}) for alpha in (0.1, 0.2))
    assert changes(STAGE, first, second) == []


def test_the_filters_of_a_corpus_are_inputs(root: Path) -> None:
    files = corpus(root, "a")
    own = {"train": {"a": {**files, "cleaning": {"max_pieces": 9}}, "b": files}}
    assert changes(STAGE, make_run(root, data=own), make_run(root)) == [
        "data.train.a.cleaning",
        "data.train.a.cleaning.max_pieces",
    ]
