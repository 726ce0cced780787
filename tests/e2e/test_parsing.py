"""Constituency parsing as translation: each output is a tree over the words of its line, in every precision."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from conftest import TINY, Run

from nmt.tasks.trees import read_tree, unescape

NOUNS = ["cat", "dog", "hen", "cow", "man", "girl"]
VERBS = ["saw", "heard", "fed"]
LINES = ["the cat saw a dog .", "", "f(x) :) unknown-words  with\tspaces", "a", " ".join(["the hen ."] * 12)]


def trees() -> list[str]:
    return [
        f"(ROOT (S (NP-SBJ (DT the) (NN {subject})) (VP (VBD {verb}) (NP (DT a) (NN {object_}))) (. .)))"
        for subject, verb, object_ in product(NOUNS, VERBS, NOUNS)
    ]


def recipe(**tokenizer: str) -> str:
    text = TINY.replace('builtin = "train"\npairs = 800', 'trees = "train.ptb"')
    for split in ("dev", "test"):
        text = text.replace(f'builtin = "{split}"', 'trees = "test.ptb"')
    lines = {"trees": "true", "normalization": '"nfc"', "byte_fallback": "true", **tokenizer}
    more = "".join(f"{key} = {value}\n" for key, value in lines.items())
    text = text.replace("vocab_size = 400\n", f"vocab_size = 330\n{more}").replace("max_steps = 200", "max_steps = 100")
    return text + "\n[decoding]\nbeam_size = 2\nmax_extra_length = 40\n"


@pytest.fixture(scope="module")
def home(nmt: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a parser on made-up trees."""
    folder = tmp_path_factory.mktemp("parser")
    lines = [f"{line}\n" for line in trees()]
    (folder / "train.ptb").write_text("".join(lines[:-8]), encoding="utf-8")
    (folder / "test.ptb").write_text("".join(lines[-8:]), encoding="utf-8")
    (folder / "tiny.toml").write_text(recipe(), encoding="utf-8")
    said = nmt("run", "tiny.toml", "--no-report", cwd=folder)
    assert said.code == 0, said.err
    return folder


def parsed(nmt_here: Run, home: Path, lines: Sequence[str], *options: str) -> list[str]:
    text = "".join(f"{line}\n" for line in lines)
    said = nmt_here("translate", "runs/tiny/model", *options, cwd=home, stdin=text.encode())
    assert said.code == 0, said.err
    return said.lines


SEARCHES = {
    "beam": ("--beam-size", "3"),
    "greedy": ("--beam-size", "1"),
    "bfloat16": ("--precision", "bfloat16"),
    "int8": ("--precision", "int8"),
    "samples": ("--sample", "--temperature", "3"),
    "no room": ("--max-extra-length", "0"),
}


@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
def test_every_line_gets_a_tree_over_its_words(nmt_here: Run, home: Path, options: Sequence[str]) -> None:
    found = parsed(nmt_here, home, LINES, *options)
    assert found[1] == ""
    for line, text in zip(LINES, found, strict=True):
        words = read_tree(text).words() if text else []
        assert [unescape(word) for word in words] == line.split()


def test_a_word_without_characters_is_in_no_tree_and_what_is_sure_is_not_reported(nmt_here: Run, home: Path) -> None:
    lines = ["the \2 cat saw \ufffe\1 a dog .", "\ufffe", "\u05e9\u05dc \u05e2\u05d5 \u05dd", "1 2 3 4 5 6 7 8"]
    said = nmt_here("translate", "runs/tiny/model", cwd=home, stdin="".join(f"{one}\n" for one in lines).encode())
    assert [read_tree(text).words() if text else [] for text in said.lines] == [
        ["the", "cat", "saw", "a", "dog", "."],
        [],
        *(line.split() for line in lines[2:]),
    ]
    kinds = {"input lines blank, and so are their translations: 1 (line 2)", "translations that are improbable"}
    assert all(any(kind in message for kind in kinds) for message in said.messages)
    assert any("blank" in message for message in said.messages)


def test_hypotheses_do_not_depend_on_the_batch_and_all_are_trees(nmt_here: Run, home: Path) -> None:
    lines = [line for line in LINES if line]
    together = parsed(nmt_here, home, lines, "--n-best", "2")
    alone = [one for line in lines for one in parsed(nmt_here, home, [line], "--n-best", "2")]
    texts = [[line.split("\t")[-1] for line in found] for found in (together, alone)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 2 * len(lines)
    assert all(map(read_tree, texts[0]))


def test_the_score_of_a_tree_is_that_of_the_search(nmt_here: Run, home: Path, tmp_path: Path) -> None:
    lines = [line for line in LINES[:4] if line]
    found = [line.split("\t") for line in parsed(nmt_here, home, lines, "--n-best", "2")]
    sides = {"source": [lines[int(row[0]) - 1] for row in found], "target": [row[-1] for row in found]}
    options: list[str | Path] = []
    for side, texts in sides.items():
        (tmp_path / side).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        options += [f"--{side}", tmp_path / side]
    said = nmt_here("score", "runs/tiny/model", *options, cwd=home)
    assert [float(line) for line in said.lines] == pytest.approx([float(row[1]) for row in found], abs=2e-4)


def test_a_line_too_long_for_one_tree_gets_several_under_one(nmt_here: Run, home: Path) -> None:
    line = "the cat saw a dog . " * 20 + "(" * 70
    [text] = parsed(nmt_here, home, [line])
    tree = read_tree(text)
    assert tree.label == "TOP"
    assert len(tree.children) > 1
    assert unescape("".join(tree.words())) == line.replace(" ", "")


def test_without_the_constraint_the_output_is_what_the_model_says(nmt_here: Run, home: Path) -> None:
    free = parsed(nmt_here, home, ["zebra " * 9], "--no-well-formed")
    bound = parsed(nmt_here, home, ["zebra " * 9])
    assert free != bound
    assert "zebra zebra" not in free[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("translate", "runs/tiny/model", "--min-length", "3"), "min_length and no_repeat_ngram may leave no tree"),
        (("translate", "runs/tiny/model", "--prefix", "p"), "a prefix and trees exclude each other"),
        (("translate", "runs/tiny/model", "--alignment"), "a tree has its words from its line: there is no alignment"),
        (("export", "runs/tiny/model", "--to", "ctranslate2"), "its targets are trees (tokenizer.trees), which nmt"),
    ],
)
def test_what_trees_exclude_is_one_line(nmt_here: Run, home: Path, arguments: Sequence[str], message: str) -> None:
    (home / "p").write_text("(S\n", encoding="utf-8")
    said = nmt_here(*arguments, cwd=home, stdin=b"a\n")
    assert said.code == 2
    assert message in said.messages[-1]
    assert said.out == ""
