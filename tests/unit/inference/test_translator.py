"""Text in, text out: segments, chunks, prefixes, the report, and what is refused."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import unpack_format_1

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import Options
from nmt.errors import ArtifactError, DataError, UsageError
from nmt.inference.engines.native import NativeEngine
from nmt.inference.mbr import expected_utilities
from nmt.inference.protocol import Engine, Hypothesis, Matrix, Request, Row
from nmt.inference.report import Report
from nmt.inference.results import Candidate, Translation
from nmt.inference.sources import Chunk
from nmt.inference.translator import FIRST_CHUNK, LARGEST_CHUNK, Translator
from nmt.tasks.grammar import generate

LIMIT = 63
"""Pieces of a source that the tiny model takes."""


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Translator:
    return Translator.load(tiny_model, device="cpu")


@pytest.fixture
def translator(loaded: Translator) -> Translator:
    """Return the tiny model with an empty report."""
    loaded.report = Report()
    return loaded


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [source for source, _ in generate("test", 40, 3)]


def models(translator: Translator) -> Sequence[torch.nn.Module]:
    assert isinstance(translator.engine, NativeEngine)
    return translator.engine.models


def test_a_blank_line_stays_blank_and_costs_no_search(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr("nmt.inference.engines.native.search", never)
    blank = ["", " \t", "\u2028"]
    assert translator.translate(blank) == [Translation(line, [Candidate("", 0.0, [])]) for line in blank]
    assert translator.report == Report(lines=3, blank=[1, 2, 3])
    assert translator.translate([]) == []


def test_the_report_counts_on_from_call_to_call(translator: Translator) -> None:
    two_sentences = "A small dog sleeps in the old house of the woman. " * 4
    translator.translate(["a", ""])
    translator.translate([two_sentences, "b", "y" * 500])
    list(translator.stream(["", "z" * 500]))
    found = translator.report
    assert (found.lines, found.blank, found.segmented, found.cut) == (7, [2, 6], [3, 5, 7], [5, 7])


def test_a_line_has_a_translation_for_each_of_its_sentences(translator: Translator, lines: list[str]) -> None:
    sentences = [line for line in lines if len(translator.tokenizer.source.encode([line])[0]) < LIMIT][:12]
    alone = [found.text for found in translator.translate(sentences)]
    translator.report = Report()
    for number in (1, 2, 3, 12):
        (found,) = translator.translate([" ".join(sentences[:number])])
        assert found.text == " ".join(alone[:number])
    assert (translator.report.segmented, translator.report.cut) == ([2, 3, 4], [])


@pytest.mark.parametrize("more", [0, 1])
def test_a_sentence_just_as_long_as_the_longest_of_training_stays_whole(translator: Translator, more: int) -> None:
    assert translator.bundle is not None
    assert translator.bundle.training_lines is not None
    length = translator.bundle.training_lines.longest + more
    words = ("q" * count for count in range(LIMIT + 2))
    word = next(word for word in words if len(translator.tokenizer.source.encode([word])[0]) == length)
    rows = translator._segments(translator.reader.read([word])[0], 1)
    assert (len(rows) == 1, sum(len(row.ids) for row in rows)) == (not more, length)
    assert translator.report.cut == ([1] if more else [])


def test_a_line_in_segments_is_the_translations_of_its_segments(translator: Translator) -> None:
    sentences = ["You thank Martin's colleague although Lena cries and sleeps.", "The woman wants to see the house."]
    long = " ".join(sentences * 3)
    rows = translator._segments(translator.reader.read([long])[0], 1)
    assert len(rows) > 1
    (hypotheses,) = translator.engine.search([[Row(row.ids) for row in rows]], Request(translator.decoding))
    best = [found[0] for found in hypotheses]
    (found,) = translator.translate([long])
    assert found.text == " ".join(translator.tokenizer.target.decode([hypothesis.ids for hypothesis in best]))
    assert found.score == pytest.approx(sum(hypothesis.score for hypothesis in best), abs=1e-5)


@pytest.mark.parametrize("odd", ["\n", "\r\n", "\u2028", "\x85", "\0", "\x1e", "▁", "<s>", "</s>", "<0x0A>"])
def test_a_translation_is_one_line_whatever_the_source_holds(translator: Translator, odd: str) -> None:
    (found,) = translator.translate([f"A dog{odd}sleeps. {odd}"])
    assert len(found.text.splitlines()) <= 1
    assert "\0" not in found.text


def test_a_stream_reads_no_more_than_a_first_batch_before_it_answers(translator: Translator) -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            read.append(1)
            yield "a"

    stream = translator.stream(endless())
    next(stream)
    assert len(read) == FIRST_CHUNK


def test_a_line_that_cannot_be_read_does_not_cost_the_lines_before_it(translator: Translator) -> None:
    def failing() -> Iterator[str]:
        yield "A dog."
        raise DataError("text:2: not UTF-8")

    for ready in (None, lambda _: True):
        for prefixes in (None, ["", "Ein"]):
            stream = translator.stream(failing(), prefixes=prefixes, ready=ready)
            assert next(stream).source == "A dog."
            with pytest.raises(DataError, match="text:2"):
                next(stream)


def test_chunks_double_while_they_are_full_and_end_where_no_line_is_ready(translator: Translator) -> None:
    sizes: list[int] = []

    def chunks(ready: Callable[[float], bool] | None, lines: int) -> list[int]:
        sizes.clear()
        assert len(list(translator.stream([""] * lines, ready=ready))) == lines
        return list(sizes)

    encode = translator._chunk

    def counted(lines: Sequence[str], prefixes: Sequence[str] | None) -> Chunk:
        sizes.append(len(lines))
        return encode(lines, prefixes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translator, "_chunk", counted)
        full = [FIRST_CHUNK << power for power in range(7)]
        assert full[-1] == LARGEST_CHUNK
        assert chunks(None, sum(full) + LARGEST_CHUNK + 5) == [*full, LARGEST_CHUNK, 5]
        assert chunks(lambda _: False, 3) == [1, 1, 1]
        pauses = iter([True] * 9 + [False] + [True] * 1000)
        # A chunk that is not full does not let the next one grow.
        assert chunks(lambda _: next(pauses), 10 + 32 + 64 + 7) == [10, 32, 64, 7]


class Eager:
    """An engine that reads two batches ahead, as one that works in several processes does."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.target_limit, self.batch_tokens, self.workers, self.task_rows = engine.target_limit, 999, 1, 32

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        taken: list[list[Row]] = []
        for batch in batches:
            taken.append(batch)
            if len(taken) > 2:
                yield from self.engine.search([taken.pop(0)], request)
        yield from self.engine.search(taken, request)

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        return self.engine.score(batches)

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        return self.engine.attention(batches, layer)


def test_an_engine_that_works_ahead_gets_the_next_chunk_before_the_last_is_done(
    translator: Translator, lines: list[str]
) -> None:
    # A chunk of blank lines alone has no batch; of the others each has one or two.
    some = [*[""] * FIRST_CHUNK, *lines[:3], *[""] * 100, *lines[3:20], *[""] * 300]
    expected = list(translator.stream(some))
    report, translator.report = translator.report, Report()
    read: list[str] = []

    def noting() -> Iterator[str]:
        for line in some:
            read.append(line)
            yield line

    own = translator.engine
    translator.engine = Eager(own)
    try:
        found = list(translator.stream(noting()))
        translator.report = Report()
        read.clear()
        live = translator.stream(noting(), ready=lambda _: False)
        next(live)
        assert read == [""]
        next(live)
        assert len(read) == 2
    finally:
        translator.engine = own
    assert [translation.text for translation in found] == [translation.text for translation in expected]
    assert report.blank == [number for number, line in enumerate(some, 1) if not line]


def test_a_stream_of_blank_lines_is_answered_before_it_ends(translator: Translator) -> None:
    read: list[str] = []

    def endless() -> Iterator[str]:
        while True:
            read.append("")
            yield ""

    stream = translator.stream(endless())
    assert [next(stream).text for _ in range(100)] == [""] * 100
    assert len(read) == FIRST_CHUNK * (1 + 2 + 4)


@pytest.mark.parametrize("count", [0, 5])
def test_more_hypotheses_than_the_beam_has_or_none_are_refused(translator: Translator, count: int) -> None:
    with pytest.raises(UsageError) as caught:
        translator.translate(["A dog."], Options(n_best=count))
    assert str(caught.value) == f"n_best = {count} must be 1 to the beam size, 4"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "marian"}, "engine: must be 'native' or 'ctranslate2'"),
        ({"device": "gpu"}, "device: must be 'auto', 'cpu' or 'cuda'"),
        ({"precision": "bf16"}, "decoding.precision: must be 'float32', 'bfloat16' or 'int8'"),
        ({"export": "int8"}, "--export is for another engine than the native one (add --engine ctranslate2)"),
        ({"devices": 0}, "devices: must be greater than 0"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"decoding": {"beam": 3}}, "decoding.beam: Extra inputs are not permitted"),
        ({"decoding": {"beam_size": 0}}, "decoding.beam_size: must be greater than 0"),
    ],
)
def test_what_cannot_be_loaded_is_a_usage_error(tiny_model: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Translator.load(tiny_model, **settings)
    assert str(caught.value) == message
    with pytest.raises(UsageError, match="no model to load"):
        Translator.load()


def test_tags_may_be_a_tuple(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match=r"^'<2de>' is not a tag of the model: it has none"):
        Translator.load(tiny_model, tags=("<2de>",))


def test_targets_are_as_many_as_sources(translator: Translator) -> None:
    with pytest.raises(DataError) as caught:
        translator.score(["a", "b"], ["A"])
    assert str(caught.value) == "2 sources but 1 targets"


def test_prefixes_go_with_their_lines_from_chunk_to_chunk(translator: Translator, lines: list[str]) -> None:
    some = [*lines[:20], "", *lines, *lines][: 2 * FIRST_CHUNK]
    prefixes = ["Der Hund" if number % 3 else "" for number in range(len(some))]
    found = list(translator.stream(some, prefixes=iter(prefixes)))
    together = translator.translate(some, prefixes=prefixes)
    assert [one.score for one in found] == pytest.approx([one.score for one in together], abs=1e-5, rel=1e-6)
    for prefix, line, translation in zip(prefixes, some, found, strict=True):
        assert translation.text.startswith(prefix if line else "")


def test_prefixes_that_are_not_as_many_as_lines_are_refused(translator: Translator) -> None:
    with pytest.raises(DataError) as caught:
        translator.translate(["a", "b"], prefixes=["A"])
    assert str(caught.value) == "2 lines but 1 prefixes"
    hint = "(give as many prefixes as lines; a blank one leaves the start to the model)"
    translator.report = Report()
    with pytest.raises(DataError) as caught:
        list(translator.stream(["a", "b"], prefixes=["A"]))
    assert str(caught.value) == f"line 2 has no prefix {hint}"
    with pytest.raises(DataError) as caught:
        list(translator.stream(["a", "b"], prefixes=["A", "B", "C"]))
    assert str(caught.value) == f"more prefixes than the 2 lines {hint}"


def test_a_prefix_that_is_too_long_is_named_by_its_line(translator: Translator) -> None:
    with pytest.raises(DataError) as caught:
        translator.translate(["a", "b"], prefixes=["", "q " * 100])
    assert re.fullmatch(r"prefix of line 2: \d+ pieces, the model takes 127", str(caught.value))


class Parrot:
    """An engine that says what it is told to, whatever it is asked."""

    target_limit, batch_tokens, workers, task_rows = 64, 4096, 1, 32

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            yield [[Hypothesis(self.ids, -1.0)] * request.n_best for _ in batch]

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        raise NotImplementedError

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("source", "said", "kind"),
    [
        ("The dog sleeps.", "", "emptied"),
        ("The dog sleeps.", "Hund " * 4, "looping"),
        ("The dog sleeps.", "der Hund " * 4, "looping"),
        ("The dog sleeps.", "Der Hund , der Hund schläft .", None),
        ("The dog sleeps and sleeps.", "The dog sleeps and sleeps.", "copied"),
        ("New York", "New York", None),
        ("very very very very old", "sehr sehr sehr sehr alt", None),
        ("stop !!!!!!!!", "halt !!!!!!!!", None),
    ],
)
def test_translations_that_look_wrong_are_counted_and_listed(
    loaded: Translator, source: str, said: str, kind: str | None
) -> None:
    (ids,) = loaded.tokenizer.target.encode([said])
    translator = Translator(Parrot(ids), loaded.tokenizer, loaded.decoding, max_length=64)
    translator.translate([" ", source, source])
    expected = Report(lines=3, blank=[1])
    if kind is not None:
        setattr(expected, kind, [2, 3])
    assert translator.report == expected
    messages = {
        "emptied": "translations that are blank though their lines are not: 2 (line 2, 3)",
        "looping": "translations that repeat themselves: 2 (line 2, 3)",
        "copied": "translations that copy their lines: 2 (line 2, 3)",
    }
    assert translator.report.warnings()[1:] == ([messages[kind]] if kind else [])


def test_settings_of_the_bundle_hold_but_for_those_replaced(tiny_model: Path) -> None:
    own = Translator.load(tiny_model).decoding
    assert (own.beam_size, own.length_penalty, own.max_extra_length, own.batch_tokens) == (4, 0.6, 50, None)
    replaced = Translator.load(tiny_model, decoding={"beam_size": 2}).decoding
    assert replaced == own.model_copy(update={"beam_size": 2})


def test_a_translator_computes_as_precisely_as_asked(tiny_model: Path, lines: list[str]) -> None:
    half = Translator.load(tiny_model, device="cpu", precision="bfloat16")
    (model,) = models(half)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert not model.training
    assert len(half.translate(lines[:5])) == 5


def test_the_precision_is_a_setting_of_the_bundle_unless_it_is_given(tiny_model: Path) -> None:
    assert Translator.load(tiny_model, device="cpu").decoding.precision == "float32"
    settings: list[Any] = [{"precision": "bfloat16"}, {"decoding": {"precision": "bfloat16"}}]
    for given in settings:
        half = Translator.load(tiny_model, device="cpu", **given)
        assert half.decoding.precision == "bfloat16"
        assert {parameter.dtype for parameter in models(half)[0].parameters()} == {torch.bfloat16}


def test_a_gpu_that_is_missing_is_a_usage_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as caught:
        Translator.load(tiny_model, device="cuda")
    assert str(caught.value) == "no GPU that torch can use on this machine (take device cpu or auto)"


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_model_that_is_not_a_number_is_refused(tiny_model: Path, beam_size: int) -> None:
    broken = Translator.load(tiny_model, device="cpu", decoding={"beam_size": beam_size})
    with torch.no_grad():
        for parameter in models(broken)[0].parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(ArtifactError) as caught:
        broken.translate(["A dog sleeps."])
    assert str(caught.value) == "the model's output is not a number (its training diverged)"


def test_a_bundle_of_format_1_translates_as_the_nmt_that_made_it(tmp_path: Path) -> None:
    folder, record = unpack_format_1(tmp_path)
    translator = Translator.load(folder, device="cpu")
    assert [found.text for found in translator.translate(record["lines"])] == record["translations"]
    expected = [torch.nan if score is None else score for score in record["scores"]]
    scores = [pair.score for pair in translator.score(record["lines"], record["lines"])]
    assert scores == pytest.approx(expected, abs=0.02, nan_ok=True)


@pytest.mark.parametrize(("given", "taken"), [(None, 4096), (7, 7)])
def test_the_engine_knows_how_much_to_translate_at_once_where_no_setting_says_it(
    translator: Translator, given: int | None, taken: int
) -> None:
    other = Translator(Parrot([]), translator.tokenizer, DecodingConfig(batch_tokens=given), max_length=9)
    assert other.batch_tokens == taken


@pytest.mark.parametrize(
    "decoding",
    [{"mbr": 8}, {"mbr": 5, "mbr_temperature": 0.4}, {"mbr": 4, "mbr_from": "n_best"}],
    ids=["samples", "cold samples", "best"],
)
def test_the_least_risk_is_that_of_the_candidates_and_does_not_depend_on_the_batch(
    tiny_model: Path, lines: list[str], decoding: dict[str, Any]
) -> None:
    translator = Translator.load(tiny_model, device="cpu", decoding=decoding)
    plain = Translator.load(tiny_model, device="cpu")
    sampling = SamplingConfig(temperature=decoding.get("mbr_temperature", 1.0))
    texts = [line for line in lines if len(plain.rows(line)) == 1][:6]
    drawn = plain.translate(texts, Options(decoding["mbr"], sampling=None if "mbr_from" in decoding else sampling))
    found = translator.translate(texts, Options(2))
    for translation, candidates in zip(found, drawn, strict=True):
        of_line = [one.text for one in candidates.candidates]
        utilities = expected_utilities(of_line)
        assert utilities[of_line.index(translation.text)] == max(utilities)
        assert translation.candidates[0].score in [one.score for one in candidates.candidates]
        assert len({one.text for one in translation.candidates}) == min(2, len(set(of_line)))
    alone = [translator.translate([line])[0].text for line in texts]
    assert [one.text for one in found] == alone == translator.translate_all(texts)
    assert not translator.report.improbable or "mbr_from" in decoding


def test_hypotheses_of_least_risk_share_the_memory_of_the_usual_ones(tiny_model: Path) -> None:
    usual = Translator.load(tiny_model, device="cpu").batch_tokens
    assert Translator.load(tiny_model, device="cpu", decoding={"mbr": 4}).batch_tokens == usual
    assert Translator.load(tiny_model, device="cpu", decoding={"mbr": 32}).batch_tokens == usual // 8
    assert Translator.load(tiny_model, device="cpu", decoding={"mbr": 32, "batch_tokens": 99}).batch_tokens == 99
