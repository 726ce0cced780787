"""Tags and placeholders in front of and behind a model: what it is given, and what becomes of what it says."""

import math
from collections.abc import Callable, Iterable, Iterator

import pytest

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import Options, TrainingLines
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.directions import Direction
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.data.placeholders import Protector
from nmt.data.sentences import SentenceSplitter
from nmt.errors import UsageError
from nmt.inference.protocol import Hypothesis, Matrix, Request, Row
from nmt.inference.report import Report
from nmt.inference.results import Candidate
from nmt.inference.segments import Segment, Segmenter, join
from nmt.inference.sources import SourceReader
from nmt.inference.translator import Translator
from nmt.tasks.grammar import generate

TAGS = ["<2de>", "<news>"]
NUMBERS = "[0-9]{3,}|www[.][a-z. ]+[a-z]"


class Echo:
    """An engine that says its source, or what `change` makes of its pieces."""

    target_limit, batch_tokens, workers, task_rows = 100, 4096, 1, 32

    def __init__(self, tokenizer: Tokenizer, change: Callable[[list[str]], list[str]] = list) -> None:
        self.side, self.change = tokenizer.source, change
        self.seen: list[list[int]] = []
        self.begun: list[list[int]] = []
        self.rows: list[Row] = []

    def search(self, batches: Iterable[list[Row]], _: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            self.seen += [row.ids for row in batch]
            self.begun += [row.prefix for row in batch]
            self.rows += batch
            said = (self.change(self.side.pieces(row.ids)) for row in batch)
            yield [[Hypothesis([self.side.processor.piece_to_id(piece) for piece in one], -1.0)] for one in said]

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        for batch in batches:
            self.seen += [ids for pair in batch for ids in pair]
            yield [[-0.5] * (len(tgt) + 1) for _, tgt in batch]

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        assert layer is None
        for batch in batches:
            yield [[[float(s == t) for s in range(len(src))] for t in range(len(tgt))] for src, tgt in batch]


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    lines = [source for source, _ in generate("train", 300, 1)]
    config = TokenizerConfig(vocab_size=400, model_type=request.param, placeholders=3)
    train(lines, lines, config, folder, seed=1, tags=TAGS)
    return Tokenizer.load(folder)


def echo(
    tokenizer: Tokenizer,
    pattern: str | None = NUMBERS,
    *,
    tags: Iterable[str] = (),
    max_length: int = 64,
    change: Callable[[list[str]], list[str]] = list,
) -> tuple[Translator, Echo]:
    engine = Echo(tokenizer, change)
    protector = None if pattern is None else Protector(pattern, tokenizer.placeholders)
    decoding = DecodingConfig()
    return Translator(engine, tokenizer, decoding, max_length=max_length, protector=protector, tags=list(tags)), engine


def pieces(tokenizer: Tokenizer, engine: Echo) -> list[str]:
    """Return what the engine was given, pieces joined."""
    return ["".join(tokenizer.source.pieces(ids)) for ids in engine.seen]


@pytest.mark.parametrize(
    "text",
    ["see ⟦0⟧.", "⟦0⟧", "⟦0⟧ see", '"⟦0⟧"', "(⟦0⟧), see", "see ⟦0⟧ ⟦1⟧", "⟦0⟧⟦1⟧", "see⟦0⟧see", "a ⟦2⟧/⟦0⟧ b", "è⟦1⟧ß"],
)
def test_the_tokenizer_gives_back_placeholders_with_the_spaces_that_they_had(tokenizer: Tokenizer, text: str) -> None:
    (ids,) = tokenizer.source.encode([text])
    assert tokenizer.target.decode([ids]) == [text]
    assert {"⟦0⟧", "⟦1⟧", "⟦2⟧"} & set(tokenizer.source.pieces(ids))


@pytest.mark.parametrize(
    "line",
    [
        "see 2024.", "2024", '"2024"', "(2024), see", "2024 2025 2024", "see2024see", "2024,www.a b.de;see",
        "no number", "the ⟦0⟧ is 2024, not ⟦2⟧",
    ],
)  # fmt: skip
def test_what_is_protected_comes_out_as_it_went_in(tokenizer: Tokenizer, line: str) -> None:
    translator, engine = echo(tokenizer)
    (found,) = translator.translate([line])
    assert (found.source, found.text, found.candidates[0].unrestored) == (line, line, [])
    assert "2024" not in pieces(tokenizer, engine)[0]
    assert translator.report.warnings() in ([], ["translations that copy their lines: 1 (line 1)"])


def test_text_that_the_normalisation_would_change_is_kept_to_the_letter(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, "ﬁ+")
    assert translator.translate(["see ﬁﬁ ﬁ."])[0].text == "see ﬁﬁ ﬁ."
    assert echo(tokenizer, None)[0].translate(["see ﬁﬁ ﬁ."])[0].text == "see fifi fi."


def test_what_is_restored_is_one_line_still(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, r"(?s)<.*>")
    assert translator.translate(["see <a\u2028\0b>"])[0].text == "see <a  b>"


def test_what_the_model_does_not_say_is_named_and_not_added(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, change=lambda said: [piece for piece in said if piece != "⟦1⟧"])
    lines = ["see 200 and 100", "see 300", "see 300, 200."]
    found = translator.translate(lines)
    assert [one.text for one in found] == ["see 200 and ", "see 300", "see 300, ."]
    assert [one.candidates[0].unrestored for one in found] == [["100"], [], ["200"]]
    assert translator.report == Report(lines=3, unrestored=[1, 3])
    assert translator.report.warnings() == [
        "placeholders that could not be restored, their text is missing: 2 (line 1, 3)"
    ]


def test_a_translation_may_hold_the_placeholders_of_its_segment_and_prefix_alone(tokenizer: Tokenizer) -> None:
    engine = Echo(tokenizer)
    lines = TrainingLines(sentences=1, pieces=60, longest=60)
    protector = Protector(NUMBERS, tokenizer.placeholders)
    translator = Translator(engine, tokenizer, DecodingConfig(), max_length=64, protector=protector, lines=lines)
    translator.translate(["see 100.", "See 100. See 200 and 100.", "see", "see ⟦2⟧"], prefixes=["", "", "⟦1⟧", ""])
    ids = {tokenizer.target.processor.piece_to_id(piece): piece for piece in ("⟦0⟧", "⟦1⟧", "⟦2⟧")}
    forbidden = {
        "".join(tokenizer.source.pieces(row.ids)): "".join(sorted(ids[piece] for piece in row.forbidden))
        for row in engine.rows
    }
    assert forbidden == {
        "▁see▁⟦0⟧.": "⟦1⟧⟦2⟧",
        "▁See▁⟦0⟧.": "⟦1⟧⟦2⟧",
        "▁See▁⟦1⟧▁and▁⟦0⟧.": "⟦2⟧",
        "▁see": "⟦0⟧⟦2⟧",
        "▁see▁⟦0⟧": "⟦1⟧⟦2⟧",
    }
    assert echo(tokenizer, None)[0].reader.forbidden(Segment(tokenizer.source.encode(["⟦1⟧"])[0]), []) == {
        piece for piece, name in ids.items() if name != "⟦1⟧"
    }


def test_what_the_model_makes_up_is_taken_out_and_counted(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, change=lambda said: [*said, "▁", "⟦2⟧", "⟦1⟧"])
    (found,) = translator.translate(["see 100"])
    assert (found.text, found.candidates[0].invented) == ("see 100", 2)
    assert translator.report.warnings() == [
        "placeholders that stand for nothing, taken out of translations: 2 (line 1)"
    ]


def test_matches_beyond_the_placeholders_are_translated_as_text_and_counted(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer)
    line = "100 200 300 400 500 400"
    assert translator.translate(["see", line])[1].text == line
    assert translator.report.beyond == [2, 2, 2]
    assert translator.report.warnings()[0] == (
        "matches to be protected beyond the model's placeholders, translated as any text: 3 (line 2)"
    )


def test_without_a_pattern_what_the_model_makes_up_is_taken_out_too(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, None, change=lambda said: [*said, "▁", "⟦0⟧", "⟦1⟧"])
    lines = ["see 100", "see ⟦1⟧"]
    found = translator.translate(lines)
    assert [one.text for one in found] == ["see 100", "see ⟦1⟧ ⟦1⟧"]
    assert [(one.candidates[0].invented, one.candidates[0].unrestored) for one in found] == [(2, None), (1, None)]
    assert translator.report.warnings() == [
        "placeholders that stand for nothing, taken out of translations: 3 (line 1, 2)"
    ]


def test_an_alignment_counts_no_word_that_was_taken_out(tokenizer: Tokenizer) -> None:
    line = "The old man sees two birds ⟦1⟧"
    made_up = ["▁", "⟦2⟧", "▁", "⟦0⟧"]
    for place in (0, 1, 100):
        translator, _ = echo(tokenizer, None, change=lambda said, at=place: [*said[:at], *made_up, *said[at:]])  # type: ignore[misc]
        (found,) = translator.translate([line], Options(alignment=True))
        assert found.text == line
        assert sorted(target for _, target in found.candidates[0].alignment or []) == list(range(7))


def test_without_a_pattern_nothing_is_said_of_placeholders(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, None)
    (found, blank) = translator.translate(["see ⟦1⟧ 100", ""])
    assert (found.text, found.candidates[0].unrestored) == ("see ⟦1⟧ 100", None)
    assert blank.candidates == [Candidate("", 0.0, [])]
    assert echo(tokenizer)[0].translate([""])[0].candidates == [Candidate("", 0.0, [], None, None, [])]


def test_a_prefix_has_the_placeholders_of_its_line(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer)
    translator.translate(["see 100 and 200"], prefixes=["200 300"])
    (begun,) = engine.begun
    assert tokenizer.target.decode([begun]) == ["⟦1⟧ 300"]


def test_pairs_are_scored_with_tags_and_placeholders(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer, tags=["<news>"])
    (found, blank) = translator.score(["<2de> see 100", "<2de>"], ["300 of 100", "see"])
    source, target = pieces(tokenizer, engine)
    assert source.startswith("▁<news>▁<2de>▁s")
    assert source.endswith("▁⟦0⟧")
    assert "".join(found.pieces) == target
    assert tokenizer.target.decode([engine.seen[1]]) == ["300 of ⟦0⟧"]
    assert math.isnan(blank.score)
    assert translator.report.unscored == [2]


def test_tags_stand_before_every_line_as_the_user_would_write_them(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer, None, tags=["<2de>", "<news>"])
    translator.translate(["see the dog", "the dog"])
    translator, other = echo(tokenizer, None, tags=["<2de>"])
    translator.translate(["<news> see the dog", "  <news>the dog"])
    translator, third = echo(tokenizer, None)
    translator.translate(["<2de> <news> see the dog", "<2de><news>  the dog"])
    given = tokenizer.source.encode(["<2de> <news> see the dog", "<2de> <news> the dog"])
    assert engine.seen == other.seen == third.seen == given


def test_a_match_does_not_take_a_tag_along(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer, r"\S+")
    translator.translate(["<2de> <news> dog"])
    assert pieces(tokenizer, engine) == ["▁<2de>▁<news>▁⟦0⟧"]


def test_a_line_of_tags_alone_is_blank(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer, tags=["<news>"])
    assert [one.text for one in translator.translate(["", " ", "<2de>", " <2de> <news> "])] == [""] * 4
    assert translator.report == Report(lines=4, blank=[1, 2, 3, 4])
    assert engine.seen == []


def test_a_copy_is_found_behind_the_tags(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, change=lambda said: said[2:])
    (found,) = translator.translate(["<2de> see the old dog"])
    assert found.text == "see the old dog"
    assert translator.report.copied == [1]


LONG = "<2de> <news> The woman sees 100 dogs. The old man thanks 200 birds. 100 women sleep in the house at 300."


@pytest.mark.parametrize("max_length", [16, 24, 40])
def test_each_segment_of_a_long_line_begins_with_its_tags(tokenizer: Tokenizer, max_length: int) -> None:
    translator, engine = echo(tokenizer, max_length=max_length)
    (found,) = translator.translate([LONG])
    given = pieces(tokenizer, engine)
    assert len(given) > 1
    assert all(one.startswith("▁<2de>▁<news>") and one.count("<") == 2 for one in given)
    assert all(len(ids) < max_length for ids in engine.seen)
    assert (found.candidates[0].unrestored, translator.report.segmented) == ([], [1])
    said = found.text.replace("<2de> <news>", "").split()
    assert "".join(said) == "".join(LONG.split()[2:])


def test_more_tags_than_the_model_takes_are_text(tokenizer: Tokenizer) -> None:
    translator, engine = echo(tokenizer, max_length=8)
    (found,) = translator.translate(["<2de> " * 20 + "dog"])
    assert "<2de>" not in {piece for ids in engine.seen for piece in tokenizer.source.pieces(ids)}
    assert found.text.replace(" ", "") == "<2de>" * 20 + "dog"
    assert translator.report.cut == [1]


@pytest.mark.parametrize("max_length", [64, 30])
def test_an_alignment_counts_the_words_of_the_line_and_leaves_tags_out(tokenizer: Tokenizer, max_length: int) -> None:
    translator, _ = echo(tokenizer, None, tags=["<news>"], max_length=max_length)
    line = "The dog sleeps. The old man sees two birds."
    (plain,) = echo(tokenizer, None, max_length=max_length)[0].translate([line], Options(alignment=True))
    (found,) = translator.translate([f"<2de> {line}"], Options(alignment=True))
    assert plain.candidates[0].alignment == [(word, word) for word in range(9)]
    assert found.candidates[0].alignment is not None
    # The echo says the tags too, and they belong to no word: the attention that is left is the first word's.
    assert {source for source, _ in found.candidates[0].alignment} == set(range(1, 10))


def test_an_alignment_and_placeholders_exclude_each_other(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer)
    with pytest.raises(UsageError) as caught:
        translator.translate(["see"], Options(alignment=True))
    assert str(caught.value) == 'an alignment and placeholders exclude each other (load with protect = "none")'


def test_a_line_is_encoded_as_before_where_there_are_neither_tags_nor_placeholders(tokenizer: Tokenizer) -> None:
    lines = [source for source, _ in generate("test", 20, 3)] + [" a  b ", "\u2028", "⟦0⟧", "a\0b"]
    reader = SourceReader(tokenizer, Segmenter(tokenizer, 63, SentenceSplitter()), None, ())
    assert [source.ids for source in reader.read(lines)] == tokenizer.source.encode(lines)


def test_lines_read_together_are_what_each_is_alone(tokenizer: Tokenizer) -> None:
    translator, _ = echo(tokenizer, tags=["<2de>"])
    lines = ["see 123 or 4567", "", "<news> see", " ", "<2de> <news>", "<news> " * 40 + "x", "www.a b 5"]
    together = translator.reader.read(lines)
    assert together == [source for line in lines for source in translator.reader.read([line])]
    assert [bool(source.head) for source in together] == [True] * 5 + [False, True]
    assert [source.words for source in together] == [0, 0, 1, 0, 2, 40, 0]


def test_a_line_has_parts_that_join_to_it_and_translate_to_its_translation(tokenizer: Tokenizer) -> None:
    line = "The woman sees dogs.  The old man thanks\u2028birds. Women sleep in the house."
    translator, _ = echo(tokenizer, None, max_length=24)
    parts = translator.reader.parts(line, ["<2de>"])
    assert len(parts) == 3
    assert "".join(parts) == line
    (whole,) = translator.translate([line])
    assert join([one.text for one in translator.translate(parts)]) == whole.text


def test_a_line_with_tags_or_protected_text_is_one_part(tokenizer: Tokenizer) -> None:
    for line in (LONG, LONG.removeprefix("<2de> <news> "), "  "):
        assert echo(tokenizer, max_length=24)[0].reader.parts(line) == [line]


def test_the_tag_of_the_direction_is_first_unless_a_line_begins_with_another(tokenizer: Tokenizer) -> None:
    reader = SourceReader(tokenizer, Segmenter(tokenizer, 99, SentenceSplitter()), None, ("<news>",))
    assert reader.all_tags(["<2de>"]) == ["<news>", "<2de>"]
    facing = reader.facing(Direction("en", "fr", ("<2fr>", "<2de>")))
    assert facing.all_tags([]) == ["<2fr>", "<news>"]
    assert facing.all_tags(["<a>"]) == ["<2fr>", "<news>", "<a>"]
    assert facing.all_tags(["<2de>", "<a>"]) == ["<2de>", "<news>", "<a>"]
    assert facing.all_tags(["<2fr>"]) == ["<2fr>", "<news>"]
    assert facing.segmenter.splitter == SentenceSplitter("en")
    (source,) = reader.facing(Direction("fr", "de", ("<2de>",))).read(["Paul sees 2024."])
    assert tokenizer.source.pieces(source.head)[-3:][0::2] == ["<2de>", "<news>"]
    assert (source.words, source.text) == (0, "Paul sees 2024.")
