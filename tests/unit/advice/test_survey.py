"""The survey of text and machine by `nmt init`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt.advice import survey
from nmt.advice.choices import choose_data, choose_vocabulary
from nmt.advice.survey import (
    Machine,
    Markup,
    SideSurvey,
    TextSurvey,
    check_held_out,
    find_machine,
    fit_tokenizer,
    read,
    survey_markup,
    survey_side,
    survey_text,
)
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding import tokenizer_training
from nmt.data.placeholders import MARKUP
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")


def side(**shares: float) -> SideSurvey:
    return SideSurvey("xx", 1.0, 9, 9, shares, 1.0, "13a", 9.0)


def write_corpus(folder: Path, name: str, lines: list[str]) -> CorpusConfig:
    """Write a table; each line is a source and its German translation, `wort` for `word`."""
    path = folder / f"{name}.tsv"
    path.write_text("".join(f"{line}\t{line.replace('word', 'das wort')}\n" for line in lines), encoding="utf-8")
    return CorpusConfig(files=str(path))


def test_a_side_is_surveyed() -> None:
    found = survey_side(["Der Hund schläft.", "Да, hier", "1 2 3"], "de")
    assert found.words == pytest.approx(8 / 3)
    assert (found.longest, found.own_script) == (17, 1.0)
    assert {script: round(share, 3) for script, share in found.scripts.items()} == {"LATIN": 0.9, "CYRILLIC": 0.1}
    assert list(found.scripts) == ["LATIN", "CYRILLIC"]
    assert survey_side(["123"], "de").scripts == {}
    assert survey_side(["Да", "Дa", "Дaa", "aa"], "ru").own_script == 0.5


def test_scripts_with_less_than_a_hundredth_of_the_letters_are_left_out() -> None:
    assert list(survey_side(["a" * 99 + "Д"], "en").scripts) == ["LATIN", "CYRILLIC"]
    assert list(survey_side(["a" * 100 + "Д"], "en").scripts) == ["LATIN"]


def test_the_alphabet_makes_up_all_but_one_in_two_thousand_characters() -> None:
    assert survey_side(["a" * 1999 + "b"], "en").alphabet == 1
    assert survey_side(["a" * 1998 + "b"], "en").alphabet == 2


def test_the_longest_line_leaves_one_in_a_thousand_out() -> None:
    lines = ["x" * 10] * 998 + ["x" * 20, "x" * 5000]
    assert survey_side(lines, "en").longest == 20
    assert survey_side(lines[:-2] + lines[-1:], "en").longest == 5000


def test_sides_share_a_script_from_a_tenth_of_the_letters_of_both() -> None:
    def shares(source: SideSurvey, target: SideSurvey) -> bool:
        return TextSurvey((source, target), {}, 1.0).shares_script

    assert shares(side(LATIN=1.0), side(CJK=0.9, LATIN=0.1))
    assert not shares(side(LATIN=1.0), side(CJK=0.91, LATIN=0.09))
    assert shares(side(LATIN=0.05, CJK=0.95), side(LATIN=0.95, CJK=0.05))
    assert not shares(side(LATIN=1.0), side(CYRILLIC=1.0))


def test_corpora_are_counted_and_a_sample_of_the_pairs_with_text_is_surveyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_corpus(tmp_path, "first", [f"word {number:03}" for number in range(150)])
    second = write_corpus(tmp_path, "second", [*(f"word {number}" for number in range(200, 250)), " "])
    (tmp_path / "second.tsv").write_bytes((tmp_path / "second.tsv").read_bytes().replace(b"\n", b"\r\n"))
    found, sample = survey_text({"first": first, "second": second}, EN_DE)
    assert (found.corpora, found.pairs) == ({"first": 150, "second": 51}, 201)
    assert sorted(sample)[:2] == [("word 000", "das wort 000"), ("word 001", "das wort 001")]
    assert (len(sample), found.length_ratio) == (200, 1.5)
    assert [(each.language, each.words, each.longest) for each in found.sides] == [("en", 2.0, 8), ("de", 3.0, 12)]
    assert capsys.readouterr().err == "found in the files: CRLF line ends 51\n"


def test_the_sample_has_a_bound_and_a_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path, "a", [f"word {number}" for number in range(300)])
    monkeypatch.setattr(survey, "SAMPLE", 100)
    (found, sample), (_, again) = survey_text({"a": corpus}, EN_DE), survey_text({"a": corpus}, EN_DE)
    assert (found.pairs, len(sample), sample) == (300, 100, again)


def test_too_few_pairs_are_one_line(tmp_path: Path) -> None:
    lines = [f"word {number}" for number in range(200)]
    assert survey_text({"a": write_corpus(tmp_path, "a", lines)}, EN_DE)[0].pairs == 200
    with pytest.raises(DataError) as error:
        survey_text({"a": write_corpus(tmp_path, "a", lines[1:])}, EN_DE)
    assert str(error.value) == (
        f"{tmp_path / 'a.tsv'}: 199 pairs with text are too few to learn from "
        "(at least 200 are needed, and some ten thousand for a useful model)"
    )


def test_files_are_read_from_the_working_directory_with_their_anomalies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tsv").write_bytes(b"\xef\xbb\xbfword\twort\n")
    anomalies = Counter[str]()
    assert list(read(CorpusConfig(files="a.tsv"), EN_DE, anomalies=anomalies)) == [("word", "wort")]
    assert anomalies == {"byte-order marks": 1}


def test_held_out_files_are_read_to_their_end_and_test_sets_of_sacrebleu_are_not(tmp_path: Path) -> None:
    check_held_out(write_corpus(tmp_path, "dev", ["word"]), EN_DE, "dev")
    check_held_out(CorpusConfig(files="sacrebleu:nosuch"), EN_DE, "test")
    (tmp_path / "a.en").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "a.de").write_text("eins\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.en has 2 lines but .*a\.de has 1"):
        check_held_out(CorpusConfig(source=str(tmp_path / "a.en"), target=str(tmp_path / "a.de")), EN_DE, "test.a")


SAMPLE = [(f"the cat {n} sat", f"die Katze {n} saß") for n in range(300)]


def test_a_vocabulary_that_the_text_cannot_fill_is_lowered() -> None:
    size, lengths = fit_tokenizer(TokenizerConfig(vocab_size=1000), SAMPLE)
    assert size == 550
    assert (lengths.longest, round(lengths.target_mean, 1)) == (5, 5.3)


def test_a_vocabulary_that_the_text_fills_is_kept_and_a_large_one_is_tried_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fit_tokenizer(TokenizerConfig(vocab_size=310), SAMPLE)[0] == 310
    tried: list[tuple[int, int, int]] = []

    def train(sources: Iterator[str], _targets: object, config: TokenizerConfig, _folder: Path, seed: int) -> None:
        tried.append((config.vocab_size, len(list(sources)), seed))
        raise DataError("too large")

    monkeypatch.setattr(tokenizer_training, "train", train)
    for size in (8000, 8002, 16_000, 32_000):
        with pytest.raises(DataError, match="too large"):
            fit_tokenizer(TokenizerConfig(vocab_size=size), SAMPLE)
    starts = [size for (before, *_), (size, *_) in zip([(0,), *tried], tried, strict=False) if size > before]
    assert starts == [8000, 8000, 8000, 16_000]
    assert [size for size, *_ in tried[:11]] == [8000, 6000, 4500, 3350, 2500, 1850, 1350, 1000, 750, 550, 400]
    assert [size for size, *_ in tried[11:13]] == [300, 8000]
    assert {(pairs, seed) for _, pairs, seed in tried} == {(210, 1)}


def test_text_that_no_tokenizer_fits_is_one_line() -> None:
    letters = "".join(chr(0x4E00 + n) for n in range(1000))
    with pytest.raises(DataError, match=r"^tokenizer\.vocab_size = \d+ is too small for both sides: "):
        fit_tokenizer(TokenizerConfig(vocab_size=400), [(letters, letters)])


def test_a_machine_without_a_gpu_is_named_by_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for cores, name, gain in ((1, "a CPU of 1 core", 2.4), (2, "a CPU of 2 cores", 0.6)):
        monkeypatch.setattr(survey, "cores", lambda cores=cores: cores)
        monkeypatch.setattr("nmt.devices.bfloat16_gain", lambda gain=gain: gain)
        assert find_machine() == Machine(name, is_gpu=False, is_faster_in_bfloat16=gain > 1)


def test_markup_that_both_sides_share_is_found() -> None:
    marked = [
        ("See https://x.org/a?b=c, please.", "Siehe https://x.org/a?b=c, bitte."),
        ("Mail me@x.org <b>now</b>.", "Jetzt <b>an</b> me@x.org."),
        ("Hi {name}, %s and ${x}!", "Hallo {name}, %s und ${x}!"),
    ]
    plain = [("A dog.", "Ein Hund."), ("<i>one</i>", "eins"), ("2 < 3 and 100% sure", "2 < 3 und 100% sicher")]
    assert survey_markup(plain) == Markup()
    assert survey_markup([*marked, *plain]) == Markup(0.5, 3)


@pytest.mark.parametrize(("share", "chosen"), [(0.0049, {}), (0.005, {"protect": MARKUP, "placeholders": 3})])
def test_markup_in_one_pair_of_two_hundred_is_protected(share: float, chosen: dict[str, object]) -> None:
    survey = TextSurvey((side(LATIN=1.0), side(LATIN=1.0)), {"train": 5000}, 1.0, Markup(share, 3))
    choices = [*choose_data(survey, {"dev", "test"}), *choose_vocabulary(survey)]
    assert {one.key: one.value for one in choices if one.key in ("protect", "placeholders")} == chosen
