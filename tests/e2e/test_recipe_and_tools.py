"""The commands around the chain: recipes, tokenizers, built-in data."""

import tomllib
from pathlib import Path

import pytest
from conftest import Run, TinyRun, tree

from nmt.config.toml import LIBRARY, knobs, load_recipe
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.tasks.grammar import generate

RECIPES = sorted(path.stem for path in LIBRARY.glob("*.toml"))

CHANGED = "nmt: warning: lines that the normal form of the {} (see --side)\n"
LINES = [
    "A small dog sleeps.",
    "Größe, naïve, Ünïcödé: “quotes” – dashes…",
    "",
    "日本語 and 🦆",
    "numbers 3.14 1,000",
]


def test_the_list_names_every_recipe_with_its_description(nmt_here: Run) -> None:
    said = nmt_here("recipe", "list")
    assert (said.code, said.err) == (0, "")
    shown = {line.split()[0]: line for line in said.lines[1:]}
    assert sorted(shown) == RECIPES
    assert {"demo", "multi30k-en-de"} <= set(RECIPES)
    for name in RECIPES:
        assert load_recipe(name).recipe.name == name
        assert load_recipe(name).recipe.description[:60] in shown[name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_shown_whole_means_the_same(nmt_here: Run, tmp_path: Path, name: str) -> None:
    said = nmt_here("recipe", "show", name)
    assert (said.code, said.err) == (0, "")
    (tmp_path / "whole.toml").write_text(said.out, encoding="utf-8")
    whole = load_recipe(str(tmp_path / "whole.toml"))
    assert whole.recipe == load_recipe(name).recipe
    again = nmt_here("recipe", "show", tmp_path / "whole.toml")
    assert [line for line in again.lines if line[0:1] != "#"] == [line for line in said.lines if line[0:1] != "#"]
    shown = tomllib.loads(said.out)
    assert shown["training"].keys() == type(whole.recipe.training).model_fields.keys(), "a key is not shown"


def test_show_takes_overrides(nmt_here: Run) -> None:
    plain, changed = nmt_here("recipe", "show", "demo"), nmt_here("recipe", "show", "demo", "--set", "training.seed=7")
    differing = [(a, b) for a, b in zip(plain.lines, changed.lines, strict=True) if a != b]
    assert differing == [("seed = 1", "seed = 7")]


def test_show_of_a_run_a_model_folder_or_a_lock_is_a_recipe_that_runs(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path
) -> None:
    recorded = load_recipe(str(tiny.folder / "recipe.toml")).recipe
    for path in (tiny.folder, tiny.folder / "lock.json", tiny.model, tiny.folder / "recipe.toml"):
        said = nmt_here("recipe", "show", path)
        assert (said.code, said.err) == (0, "")
        (tmp_path / "shown.toml").write_text(said.out, encoding="utf-8")
        assert load_recipe(str(tmp_path / "shown.toml")).recipe == recorded
    again = nmt_here("run", tmp_path / "shown.toml", "--run-dir", tiny.copy(tmp_path / "run"))
    assert again.messages == [
        f"{stage}: skipped, its inputs have not changed"
        for stage in ("text", "tokenizer", "prepare", "train", "bundle", "evaluate")
    ]


def test_explain_prints_every_key_or_those_of_a_section_or_one(nmt_here: Run) -> None:
    every = nmt_here("recipe", "explain")
    assert (every.code, every.err) == (0, "")
    heads = [line for line in every.lines if line and not line.startswith(" ")]
    assert [head.split(" ")[0] for head in heads] == [knob.key for knob in knobs()]
    section = nmt_here("recipe", "explain", "decoding").lines
    assert [line.split(" ")[0] for line in section if line and not line.startswith(" ")] == [
        *("decoding.beam_size", "decoding.length_penalty", "decoding.max_extra_length", "decoding.max_length_ratio"),
        *("decoding.min_length", "decoding.no_repeat_ngram", "decoding.well_formed", "decoding.batch_tokens"),
        *("decoding.segments", "decoding.mbr", "decoding.mbr_from", "decoding.mbr_temperature", "decoding.precision"),
    ]
    assert nmt_here("recipe", "explain", "decoding.beam_size") == (
        *(
            0,
            "decoding.beam_size (int > 0, <= 1000) = 4\n    Hypotheses kept for each sentence; 1 is greedy search.\n",
            "",
        ),
    )


def test_explain_of_an_unknown_key_names_the_nearest(nmt_here: Run) -> None:
    said = nmt_here("recipe", "explain", "decoding.beam")
    assert said == (2, "", "nmt: no key decoding.beam (did you mean 'decoding.beam_size'?)\n")


@pytest.mark.parametrize("flags", [[], ["--ids"]])
def test_pieces_and_ids_come_back_as_the_text(tiny: TinyRun, nmt_here: Run, flags: list[str]) -> None:
    text = "".join(line + "\n" for line in LINES).encode()
    encoded = nmt_here("tokenizer", "encode", tiny.model, *flags, stdin=text)
    assert (encoded.code, len(encoded.lines)) == (0, len(LINES))
    assert encoded.err == CHANGED.format("source changes: 1")  # the dots
    words = [line.split(" ") for line in encoded.lines if line]
    assert all(word.isdigit() for row in words for word in row) == bool(flags)
    decoded = nmt_here("tokenizer", "decode", tiny.model, *flags, stdin=encoded.out.encode())
    side = Tokenizer.load(tiny.model).source
    assert decoded == (0, "".join(side.normalize(line) + "\n" for line in LINES), "")
    assert decoded.lines[0] == LINES[0]


def test_lines_that_the_normal_form_changes_are_counted(tiny: TinyRun, nmt_here: Run) -> None:
    text = "plain\nwide！\ne\u0301\n".encode()
    for side, words in (("source", "source changes: 2"), ("target", "target changes: 1")):
        encoded = nmt_here("tokenizer", "encode", tiny.model, "--side", side, stdin=text)
        assert encoded.err == CHANGED.format(words)


def test_a_tokenizer_folder_serves_as_well_as_a_model(tiny: TinyRun, nmt: Run, nmt_here: Run) -> None:
    text = b"A small\xe2\x80\xa8dog sleeps.\r\nAnother"
    of_the_model = nmt_here("tokenizer", "encode", tiny.model, stdin=text)
    assert len(of_the_model.lines) == 2
    assert nmt("tokenizer", "encode", tiny.folder / "tokenizer", stdin=text) == of_the_model


def test_show_tells_the_size_and_the_normalisation(tiny: TinyRun, nmt_here: Run) -> None:
    expected = "vocabularies: joint\npieces: source 400, target 400\nnormalisation: source nmt_nfkc, target nfc\n"
    assert nmt_here("tokenizer", "show", tiny.model) == (0, expected, "")


@pytest.mark.parametrize(
    ("words", "text", "code", "message"),
    [
        (["decode", "--ids"], b"5 6\n7 x\n", 3, "nmt: line 2: 'x' is not an id of this tokenizer: 0 to 399\n"),
        (["decode", "--ids"], b"400\n", 3, "nmt: line 1: '400' is not an id of this tokenizer: 0 to 399\n"),
        (["encode"], b"a\n\xff\n", 3, "nmt: standard input:2: not UTF-8: byte 0xff at position 1"),
    ],
)
def test_what_cannot_be_encoded_or_decoded_is_one_line(
    tiny: TinyRun, nmt_here: Run, words: list[str], text: bytes, code: int, message: str
) -> None:
    said = nmt_here("tokenizer", words[0], tiny.model, *words[1:], stdin=text)
    assert (said.code, len(said.messages)) == (code, 1)
    assert said.err.startswith(message)


def test_a_folder_without_a_tokenizer_is_one_line(nmt_here: Run, tmp_path: Path) -> None:
    expected = f"nmt: {tmp_path / 'tokenizer.json'}: missing, so this is no tokenizer (train it again)\n"
    for words in (["show"], ["encode"], ["decode"]):
        assert nmt_here("tokenizer", *words, tmp_path) == (4, "", expected)


@pytest.mark.parametrize("split", ["train", "dev", "test", "unseen"])
def test_synthesize_writes_the_same_pairs_again_and_as_many_on_either_side(
    nmt_here: Run, tmp_path: Path, split: str
) -> None:
    arguments = ["--split", split, "--pairs", "50"]
    for folder in ("a", "b"):
        said = nmt_here("data", "synthesize", tmp_path / folder, *arguments)
        names = f"{tmp_path / folder / split}.en and {tmp_path / folder / split}.de"
        assert said == (0, "", f"wrote 50 pairs to {names}\n")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert sorted(tree(tmp_path / "a")) == [f"{split}.de", f"{split}.en"]
    sides = [(tmp_path / "a" / f"{split}.{side}").read_text(encoding="utf-8").split("\n") for side in ("en", "de")]
    assert [tuple(pair) for pair in zip(*sides, strict=True)][:-1] == list(generate(split, 50, 1))  # type: ignore[arg-type]
    assert [side[-1] for side in sides] == ["", ""]
    assert nmt_here("data", "synthesize", tmp_path / "c", *arguments, "--seed", "2").code == 0
    assert not tree(tmp_path / "c").items() & tree(tmp_path / "a").items()
