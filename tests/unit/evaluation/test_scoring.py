"""What is said of texts that are scored, and the tokenizer that their script chooses."""

from pathlib import Path

import pytest
from sacrebleu.tokenizers import tokenizer_ja_mecab

from nmt.errors import UsageError
from nmt.evaluation import scoring
from nmt.evaluation.metrics import MetricName, score
from nmt.evaluation.scoring import (
    CHRF,
    blank_references,
    choose_by_script,
    choose_tokenizer,
    count_systems,
    flaws_of,
    mean_tokens,
    tokenizer_in,
    weakness_of,
)

CHINESE = ["我昨天在图书馆看了一本书。", "她喜欢喝绿茶。"]
JAPANESE = ["昨日図書館で本を読みました。", "彼女は緑茶が好きです。"]
THAI = ["เมื่อวานฉันอ่านหนังสือในห้องสมุด", "เธอชอบดื่มชาเขียว"]
ENGLISH = ["I read a book in the library yesterday.", "She likes green tea."]


def test_blank_hypotheses_are_counted_with_the_first_lines() -> None:
    assert flaws_of(["a", "b"]) == []
    assert flaws_of(["a", "\u200b"]) == ["1 of 2 hypotheses is blank: line 2"]
    assert flaws_of(["", " "]) == ["2 of 2 hypotheses are blank: lines 1, 2"]
    assert flaws_of([""] * 1007) == ["1,007 of 1,007 hypotheses are blank: lines 1, 2, 3, 4, 5 and 1,002 more"]
    assert flaws_of([""]) == ["1 of 1 hypothesis is blank: line 1"]


def test_blank_references_are_said_with_what_becomes_of_them() -> None:
    assert blank_references([["a", "b"], ["c", "d"]]) == []
    assert blank_references([["a", "", "c"]]) == [
        "1 of 3 lines is blank in the reference: line 2; BLEU and TER count all words of the hypothesis as wrong, "
        "chrF leaves it out"
    ]
    assert blank_references([["a", "", ""], ["", "b", "\u3000"]]) == [
        "1 of 3 lines is blank in every reference: line 3; BLEU and TER count all words of the hypothesis as wrong, "
        "chrF leaves it out",
        "1 of 3 lines is blank in reference set 1, and scored by the others: line 2",
        "1 of 3 lines is blank in reference set 2, and scored by the others: line 1",
    ]


@pytest.mark.parametrize(
    ("lines", "tokenizer"),
    [
        (CHINESE, "zh"),
        (["「機械翻譯」是什麼？", "ㄅㄆㄇ"], "zh"),
        (JAPANESE, "ja-mecab"),
        (["カタカナ"], "ja-mecab"),
        (THAI, "char"),
        (["ខ្ញុំស្រឡាញ់ភាសាខ្មែរ", "ສະບາຍດີ", "မင်္ဂလာပါ", "བཀྲ་ཤིས་བདེ་ལེགས།"], "char"),
        (ENGLISH, None),
        (["나는 학교에 갑니다.", "漢字"], None),
        (["Я читаю книгу."], None),
        (["iPhone 手机", "Windows 10"], None),
        (["123", ""], None),
        ([], None),
    ],
)
def test_scripts_without_spaces_have_a_tokenizer(lines: list[str], tokenizer: str | None) -> None:
    assert tokenizer_in(lines) == tokenizer


def test_a_tokenizer_by_the_script_is_said_and_one_that_is_missing_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_by_script(ENGLISH) == ("13a", "")
    tokenize, reason = choose_by_script(CHINESE)
    assert tokenize == "zh"
    assert reason == (
        "the references are in a script without spaces between words, so BLEU's tokenizer is zh; --target-language and "
        "--tokenize name another"
    )
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    tokenize, reason = choose_by_script(JAPANESE)
    assert tokenize == "char"
    assert reason.endswith('so BLEU\'s tokenizer is char; ja-mecab is not installed (pip install -e ".[ja]")')


@pytest.mark.parametrize(
    ("tokenize", "lines", "better"),
    [
        ("13a", CHINESE, "zh"),
        ("intl", THAI, "char"),
        ("none", JAPANESE, "ja-mecab"),
        ("13a", ["Windows 11 和 Linux 都支持这个功能，但是需要安装额外的软件包。"] * 20, "zh"),
        ("zh", CHINESE, None),
        ("char", THAI, None),
        ("13a", ENGLISH, None),
        ("none", ["我 昨天 在 图书馆 看 了 一 本 书 。"] * 20, None),
        ("13a", ["house", "green tea", "to read"], CHRF),
        ("zh", ["树", "房子"], CHRF),
        ("13a", ["", "\u200b", "a book on the shelf"], None),
        ("13a", ["a", "b c d"] * 5 + ["a book is here"], CHRF),
        ("13a", ["a", "b c d"] * 4 + ["a book is here"], None),
        ("13a", [], None),
    ],
)
def test_a_tokenizer_that_finds_no_words_is_weak(tokenize: str, lines: list[str], better: str | None) -> None:
    found = weakness_of(tokenize, lines)
    assert (found and found[1]) == better


def test_flores200_is_named_where_sacrebleu_has_its_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scoring, "SACREBLEU_DIR", str(tmp_path))
    found = weakness_of("13a", THAI)
    assert found == ("BLEU's tokenizer 13a finds no words in text without spaces between them", "char")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "flores200sacrebleuspm").touch()
    found = weakness_of("13a", THAI)
    assert found is not None
    assert found[1] == "char or flores200"


def test_a_weak_tokenizer_gives_a_score_without_meaning_and_the_one_named_another() -> None:
    assert score(THAI, [THAI], tokenize="13a")["bleu"]["score"] == 0
    assert score(THAI, [THAI], tokenize="char")["bleu"]["score"] == pytest.approx(100)


def test_tokens_are_counted_by_the_tokenizer_or_by_character_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mean_tokens("13a", ["It is so.", "", "Yes"]) == 2.5
    assert mean_tokens("13a", []) == 0
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    assert mean_tokens("ja-mecab", ["緑茶"]) == 2


def test_the_setting_the_language_or_the_script_chooses_the_tokenizer_and_flaws_are_said() -> None:
    weak = "BLEU's tokenizer 13a finds no words in text without spaces between them: take the tokenizer char"
    assert choose_tokenizer("13a", "th", [THAI]) == ("13a", [weak])
    assert choose_tokenizer("auto", "en", [THAI]) == ("13a", [weak])
    assert choose_tokenizer("auto", "tha_Thai", [THAI]) == ("char", [])
    assert choose_tokenizer("auto", None, [ENGLISH]) == ("13a", [])
    assert choose_tokenizer("auto", None, [CHINESE]) == ("zh", [choose_by_script(CHINESE)[1]])
    few = (
        "BLEU counts n-grams of up to 4 words, and 0 of 2 references have as many by its tokenizer 13a: chrF says more"
    )
    assert choose_tokenizer("13a", None, [["a tree", "a"]]) == ("13a", [few])
    with pytest.raises(UsageError, match=r"^unknown BLEU tokenizer '13b'"):
        choose_tokenizer("13b", "en", [ENGLISH])


def test_the_lines_that_are_not_blank_stand_for_the_references() -> None:
    tokenize, said = choose_tokenizer("auto", None, [["", THAI[0]], [THAI[1], ""]])
    assert tokenize == "char"
    assert [flaw.partition(",")[0] for flaw in said] == [
        "1 of 2 lines is blank in reference set 1",
        "1 of 2 lines is blank in reference set 2",
        "the references are in a script without spaces between words",
    ]


def test_translations_that_look_tokenized_are_said() -> None:
    assert flaws_of(["It is so ."] * 100 + [""]) == [
        "1 of 101 hypotheses is blank: line 101",
        "the translations look tokenized: BLEU is meant for plain text",
    ]


def test_systems_are_counted_once_with_what_is_to_be_said_of_each() -> None:
    systems, references = {"a": ["ein Hund", ""], "b": ["ein Hund", "Tag"]}, [["ein kleiner Hund schläft", "Guten Tag"]]
    counted, said = scoring.count_systems(
        systems, references, "de", tokenize="auto", lowercase=True, chrf_word_order=2, metrics=["chrf", "bleu"]
    )
    assert [flaw for flaw in said if ": " in flaw and flaw[0] in "ab"] == ["a: 1 of 2 hypotheses is blank: line 2"]
    for name, lines in systems.items():
        found = {metric: statistics.score() for metric, statistics in counted[name].items()}
        assert found == score(lines, references, lowercase=True, chrf_word_order=2, metrics=["chrf", "bleu"])
    (flaw,) = scoring.count_systems(
        {"a": [""]}, [["x y z w"]], None, tokenize="char", lowercase=False, chrf_word_order=0, metrics=["chrf"]
    )[1]
    assert flaw == "1 of 1 hypothesis is blank: line 1"


def test_without_bleu_no_tokenizer_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)

    def counted(metric: MetricName) -> list[str]:
        return count_systems(
            {"a": ["x"]}, [[""]], "ja", tokenize="auto", lowercase=False, chrf_word_order=0, metrics=[metric]
        )[1]  # fmt: skip

    assert counted("chrf")[0].startswith("1 of 1 line is blank in the reference: line 1; ")
    assert len(counted("chrf")) == 1
    with pytest.raises(UsageError, match="ja-mecab"):
        counted("bleu")
