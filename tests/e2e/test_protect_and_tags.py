"""`--tag` and `--protect` of translate, score and evaluate, and a run whose recipe has tags and placeholders."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Result, Run

from nmt.config.decoding import DecodingConfig, EvaluationConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import PAD_ID, Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.inference.bundle import BundleConfig, write_bundle
from nmt.inference.engines.loading import EnginePlan
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.model.encoder_decoder import Transformer
from nmt.tasks.grammar import generate

SIZE = 400
MODEL = ModelConfig(d_model=16, heads=2, ffn=16, encoder_layers=1, decoder_layers=1, max_length=32)
NUMBERS = "[0-9]{3,}"
TEXT = "See 2024, not 100.\n\n2024 2024 dogs\n"


def make_model(folder: Path, *, placeholders: int, tags: list[str], protect: str | None) -> Path:
    """Write a bundle that was never trained to `folder`; return its path."""
    lines = [source for source, _ in generate("train", 200, 1)]
    (folder / "tokenizer").mkdir(parents=True)
    config = TokenizerConfig(vocab_size=SIZE, placeholders=placeholders)
    train(lines, lines, config, folder / "tokenizer", seed=1, tags=tags)
    torch.manual_seed(1)
    weights = Transformer(MODEL, SIZE, SIZE, pad_id=PAD_ID).weights()
    bundle = BundleConfig(
        name="unit",
        languages=LanguagesConfig(source="en", target="de"),
        model=MODEL,
        decoding=DecodingConfig(beam_size=1),
        evaluation=EvaluationConfig(),
        protect=protect,
    )
    write_bundle(folder / "model", weights, folder / "tokenizer", {}, bundle)
    return folder / "model"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with tags, placeholders and a pattern. Shared: never change it."""
    return make_model(tmp_path_factory.mktemp("full"), placeholders=2, tags=["<2de>", "<news>"], protect=NUMBERS)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle without tags and placeholders. Shared: never change it."""
    return make_model(tmp_path_factory.mktemp("bare"), placeholders=0, tags=[], protect=None)


class Babble:
    """An engine that says one placeholder after each source."""

    target_limit, batch_tokens, workers = 32, 4096, 1

    def __init__(self, said: int) -> None:
        self.said = said

    def search(self, batches: Iterable[list[Row]], _: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            yield [[Hypothesis([*row.ids, self.said], -1.0)] for row in batch]


@pytest.fixture
def rows(model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the engine say its source but for the tags and `⟦1⟧`; return where it notes the sources."""
    side = Tokenizer.load(model).source
    seen: list[str] = []

    class Echo:
        target_limit, batch_tokens, workers = 32, 4096, 1

        def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
            for batch in batches:
                seen.extend("".join(side.pieces(row.ids)) for row in batch)
                lost = [side.processor.piece_to_id(piece) for piece in ("<2de>", "<news>", "⟦1⟧")]
                said = ([i for i in row.ids if i not in lost] for row in batch)
                yield [[Hypothesis(ids, -1.0)] * request.n_best for ids in said]

        def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
            for batch in batches:
                seen.extend(f"{side.decode([src])[0]} = {side.decode([tgt])[0]}" for src, tgt in batch)
                yield [[-0.5] * (len(tgt) + 1) for _, tgt in batch]

    monkeypatch.setattr(EnginePlan, "load", lambda _: Echo())
    return seen


def refused(said: Result) -> str:
    assert (said.code, said.out, len(said.messages)) == (2, "", 1), said.err
    return said.messages[0].removeprefix("nmt: ")


def test_a_model_keeps_what_its_recipe_says_and_tells_what_it_lost(model: Path, nmt_here: Run, rows: list[str]) -> None:
    said = nmt_here("translate", model, stdin=TEXT.encode())
    assert said.lines == ["See 2024, not .", "", "2024 2024 dogs"]
    assert not any("2024" in row for row in rows)
    assert said.messages == [
        "nmt: warning: input lines blank, and so are their translations: 1 (line 2)",
        "nmt: warning: placeholders that could not be restored, their text is missing: 1 (line 1)",
    ]


def test_json_lines_name_what_is_missing_of_each_hypothesis(model: Path, nmt_here: Run, rows: list[str]) -> None:
    said = nmt_here("translate", model, "--format", "jsonl", stdin=TEXT.encode())
    found = [json.loads(line)["hypotheses"][0] for line in said.lines]
    assert [one["unrestored"] for one in found] == [["100"], [], []]
    said = nmt_here("translate", model, "--format", "jsonl", "--protect", "none", stdin=TEXT.encode())
    assert not any("unrestored" in line for line in said.lines)
    assert "⟦" not in "".join(rows[len(rows) // 2 :])


@pytest.mark.parametrize(("pattern", "protected"), [("none", 0), ("not", 1), (NUMBERS, 2)])
def test_a_pattern_of_the_call_takes_the_place_of_the_model_s(
    model: Path, nmt_here: Run, rows: list[str], pattern: str, protected: int
) -> None:
    said = nmt_here("translate", model, "--protect", pattern, stdin=b"See 2024.\n2024 dogs, not cats\n")
    assert said.lines == ["See 2024.", "2024 dogs, not cats"]
    assert sum("⟦0⟧" in row for row in rows) == protected


@pytest.mark.parametrize("pattern", ["none", NUMBERS])
def test_a_placeholder_that_the_model_made_up_is_taken_out_and_counted_whatever_is_protected(
    model: Path, nmt_here: Run, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    said_piece = Tokenizer.load(model).target.processor.piece_to_id("⟦1⟧")
    monkeypatch.setattr(EnginePlan, "load", lambda _: Babble(said_piece))
    said = nmt_here("translate", model, "--protect", pattern, stdin="The dog sees\nThe dog ⟦0⟧\n".encode())
    assert said.lines == ["The dog sees", "The dog ⟦0⟧"]
    assert said.messages == [
        "nmt: warning: placeholders that stand for nothing, taken out of translations: 2 (line 1, 2)"
    ]


def test_tags_of_the_call_stand_before_each_line(model: Path, nmt_here: Run, rows: list[str]) -> None:
    said = nmt_here("translate", model, "--tag", "<2de>", "--tag", "<news>", stdin=b"dog\n\n<2de> dog\n")
    assert [line.strip() for line in said.lines] == ["dog", "", "dog"]
    assert sorted(rows) == ["▁<2de>▁<news>▁<2de>▁dog", "▁<2de>▁<news>▁dog"]


def test_pairs_are_scored_as_they_would_be_translated(
    model: Path, nmt_here: Run, rows: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("dog 2024\n", encoding="utf-8")
    (tmp_path / "b").write_text("2024 Hund 100\n", encoding="utf-8")
    pair = ("--source", tmp_path / "a", "--target", tmp_path / "b")
    assert nmt_here("score", model, *pair).code == 0
    assert nmt_here("score", model, *pair, "--tag", "<news>", "--protect", "Hund|dog").code == 0
    assert rows == ["dog ⟦0⟧ = ⟦0⟧ Hund 100", "<news> ⟦0⟧ 2024 = 2024 Hund 100"]


def test_evaluate_takes_both_for_translating_and_refuses_them_otherwise(
    model: Path, nmt_here: Run, rows: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("dog 2024\n", encoding="utf-8")
    files = ("--reference", tmp_path / "a")
    said = nmt_here("evaluate", model, *files, "--source", tmp_path / "a", "--tag", "<2de>", "--protect", "dog")
    assert (said.code, len(rows)) == (0, 1)
    assert rows[0].startswith("▁<2de>▁⟦0⟧▁")
    for option in (("--tag", "<2de>"), ("--protect", "x")):
        said = nmt_here("evaluate", *files, "--hypotheses", tmp_path / "a", *option)
        assert refused(said) == "--hypotheses are scored as they are (leave out the options for translating)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tag", "<2fr>"], "'<2fr>' is not a tag of the model: it has <2de>, <news>"),
        (["--protect", "("], "protect: '(' is no regular expression: missing ), unterminated subpattern at position 0"),
        (["--alignment"], "--alignment and placeholders exclude each other (add --protect none)"),
    ],
)
def test_options_that_cannot_be_are_refused(model: Path, nmt_here: Run, options: list[str], message: str) -> None:
    assert refused(nmt_here("translate", model, *options, stdin=b"dog\n")) == message


def test_a_model_aligns_words_once_nothing_is_protected(model: Path, nmt_here: Run) -> None:
    said = nmt_here("translate", model, "--alignment", "--protect", "none", "--tag", "<2de>", stdin=b"dog\n")
    assert (said.code, " ||| " in said.out) == (0, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--tag", "<2de>"],
            "'<2de>' is not a tag of the model: it has none (a model has those that the corpora of its recipe have: "
            "tags = [...])",
        ),
        (
            ["--protect", "x"],
            "the model has no placeholders to protect text with (train one with tokenizer.placeholders and "
            "data.protect in its recipe, or take --protect none)",
        ),
    ],
)
def test_a_model_without_them_says_how_to_train_one(
    bare: Path, nmt_here: Run, options: list[str], message: str
) -> None:
    assert refused(nmt_here("translate", bare, *options, stdin=b"dog\n")) == message


def test_a_run_trains_with_tags_and_placeholders(nmt: Run, tmp_path: Path) -> None:
    """Whatever so small a model has learned: a name is in the translation, or said to be missing."""
    names = "Martin|Lena|Anna|Tom"
    recipe = TINY.replace('builtin = "train"', 'builtin = "train"\ntags = ["<2de>"]')
    recipe = recipe.replace("[data.dev]", f'[data]\nprotect = "{names}"\n\n[data.dev]\ntags = ["<2de>"]')
    recipe = recipe.replace("[data.train]", "[data.train.main]").replace("vocab_size = 400", "vocab_size = 410")
    recipe = recipe.replace("vocab_size", "placeholders = 2\nvocab_size")
    (tmp_path / "tiny.toml").write_text(recipe, encoding="utf-8")
    said = nmt("run", "tiny.toml", cwd=tmp_path)
    assert said.code == 0, said.err
    bundle = tmp_path / "runs" / "tiny" / "model"
    cards: list[dict[str, Any]] = [
        json.loads((bundle / name).read_text(encoding="utf-8")) for name in ("config.json", "tokenizer.json")
    ]
    assert (cards[0]["protect"], cards[1]["tags"], cards[1]["placeholders"]) == (names, ["<2de>"], 2)
    said = nmt(
        "translate", bundle, "--tag", "<2de>", "--format", "jsonl", stdin=b"You thank Martin.\nThe dog sleeps.\n"
    )
    first, second = (json.loads(line)["hypotheses"][0] for line in said.lines)
    assert ("Martin" in first["text"]) != (first["unrestored"] == ["Martin"])
    assert second["unrestored"] == []
    assert "⟦" not in first["text"] + second["text"]
