import json
import logging
import random
import subprocess
import sys
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import sacrebleu
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_ko_mecab, tokenizer_spm

from nmt.errors import DataError, UsageError
from nmt.evaluation import metrics
from nmt.evaluation.metrics import (
    BRACKETS,
    MetricName,
    Scores,
    count,
    looks_tokenized,
    score,
    tokenizer_for,
    with_brackets,
)
from nmt.version import __version__

VERSION = f"version:{sacrebleu.__version__}"

# Blanks at the ends, an empty side, line separators that are none, tabs, entities, quotes, no-break spaces.
HYPOTHESES = [
    "Das ist ein  Haus. ",
    "",
    'Er sagte: "Nein, 3.500,50 €!"',
    "Größe &amp; Straße\u2028sind <unk> hier.",
    "\tein\x85Tab\fund mehr",
    "It's the dog's bowl; isn't it?",
    "Leer",
]
REFERENCES = [
    [
        "Das ist kein Haus.",
        "Leer.",
        "Sie sagte: „Nein, 3500,50 €!“",
        "Größe & STRASSE sind\u2028hier.",
        "ein Tab\u00a0und noch mehr",
        "It is the dog's bowl, isn't it?",
        "",
    ],
    [
        "Dies ist ein Haus .",
        " ",
        'Er sagte "Nein, 3.500,50 €!"',
        "Maße &amp; Straße sind hier.",
        "ein\x85Tab\fund mehr",
        "That's the dog's bowl.",
        "Voll",
    ],
]


def values(scores: Scores) -> dict[str, float]:
    return {name: result["score"] for name, result in scores.items()}


def signatures(scores: Scores) -> dict[str, str]:
    return {name: result["signature"] for name, result in scores.items()}


def test_one_sentence_has_these_scores_and_signatures() -> None:
    scores = score(["The cat sat on the mat."], [["The cat sat on a mat."]])
    assert values(scores) == pytest.approx(
        {"bleu": 48.892302243490086, "chrf": 71.42247563033848, "ter": 16.666666666666664}, rel=1e-12
    )
    assert signatures(scores) == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{VERSION}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{VERSION}",
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{VERSION}",
    }


def test_a_second_reference_raises_the_scores_and_is_counted_in_the_signatures() -> None:
    scores = score(
        ["The cat sat on the mat.", "It was black."],
        [["The cat sat on a mat.", "It was black."], ["A cat sat on the mat.", "The cat was black."]],
    )
    assert values(scores) == pytest.approx(
        {"bleu": 100.0, "chrf": 93.60143870337511, "ter": 10.526315789473683}, rel=1e-12
    )
    assert signatures(scores) == {
        "bleu": f"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|{VERSION}",
        "chrf": f"nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|{VERSION}",
        "ter": f"nrefs:2|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{VERSION}",
    }


def test_lowercase_and_word_order_change_scores_and_signatures() -> None:
    scores = score(["THE CAT sat on the mat."], [["The cat sat on a mat."]], lowercase=True, chrf_word_order=2)
    assert values(scores) == pytest.approx(
        {"bleu": 48.892302243490086, "chrf": 72.65910428863748, "ter": 16.666666666666664}, rel=1e-12
    )
    assert signatures(scores) == {
        "bleu": f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|{VERSION}",
        "chrf": f"nrefs:1|case:lc|eff:yes|nc:6|nw:2|space:no|{VERSION}",
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{VERSION}",
    }


def test_chinese_is_scored_by_character() -> None:
    scores = score(["我爱北京。"], [["我爱南京。"]], tokenize=tokenizer_for("zh-CN"), metrics=["bleu"])
    assert values(scores) == pytest.approx({"bleu": 30.213753973567677}, rel=1e-12)
    assert signatures(scores) == {"bleu": f"nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|{VERSION}"}


def test_empty_lines_are_scored_and_are_no_error() -> None:
    assert values(score([""], [["a b"]])) == {"bleu": 0.0, "chrf": 0.0, "ter": 100.0}
    assert values(score([""], [[""]])) == {"bleu": 0.0, "chrf": 0.0, "ter": 0.0}


@pytest.mark.parametrize("chosen", [["ter"], ["chrf", "bleu"], []])
def test_only_the_metrics_asked_for_are_computed_in_that_order(chosen: list[MetricName]) -> None:
    assert list(score(["a"], [["a"]], metrics=chosen)) == chosen


@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], {}),
        (["-lc", "--chrf-lowercase", "-cw", "2"], {"lowercase": True, "chrf_word_order": 2}),
        (["-tok", "intl"], {"tokenize": "intl"}),
        (["-tok", "none"], {"tokenize": "none"}),
        (["-tok", "char"], {"tokenize": "char"}),
    ],
    ids=["defaults", "lowercase-chrf++", "intl", "none", "char"],
)
def test_scores_and_signatures_equal_those_of_the_sacrebleu_command(
    tmp_path: Path, sets: int, flags: list[str], options: dict[str, object]
) -> None:
    # sacreBLEU's command takes the blank lines of one of two references for references of length 0.
    references = REFERENCES if sets == 1 else [[line.strip() or "Voll." for line in lines] for lines in REFERENCES]
    for name, lines in {"hyp": HYPOTHESES, "ref1": references[0], "ref2": references[1]}.items():
        (tmp_path / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    files = ["ref1", "ref2"][:sets]
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        *files,
        "-i",
        "hyp",
        "-m",
        "bleu",
        "chrf",
        "ter",
        "-w",
        "10",
    ]
    done = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, check=True)
    theirs = json.loads(done.stdout)
    ours = score(HYPOTHESES, references[:sets], **options)  # type: ignore[arg-type]
    assert list(signatures(ours).values()) == [metric["signature"] for metric in theirs]
    assert list(values(ours).values()) == pytest.approx([m["score"] for m in theirs], rel=0, abs=1e-9)


SHORT = ["one short hypothesis here", "Two."]
LONG = ["a much longer reference than one short hypothesis here is", "Two."]


@pytest.mark.parametrize("blank", ["", " \t", "\u00a0", "\u3000", "\u200b", "\ufeff\u200e"])
def test_a_blank_line_of_one_reference_set_is_no_reference(blank: str) -> None:
    alone = score(SHORT, [LONG])
    for sets in ([LONG, [blank, "Two."]], [[blank, "Two."], LONG], [[blank, "Two."], LONG, ["", ""]]):
        found = score(SHORT, sets)
        assert values(found) == values(alone)
        assert [signature.partition("|")[0] for signature in signatures(found).values()] == ["nrefs:var"] * 3
    assert values(score(SHORT, [LONG, ["one", "Two."]]))["bleu"] > 2 * values(alone)["bleu"] > 0


def test_a_line_that_is_blank_in_all_references_is_scored_as_sacrebleu_does() -> None:
    with_blank = [["", "Two."], ["", "Two!"]]
    found = score(SHORT, with_blank)
    assert found["bleu"]["score"] == sacrebleu.BLEU(force=True).corpus_score(SHORT, with_blank).score
    assert signatures(found)["bleu"].startswith("nrefs:2|")
    assert values(found)["chrf"] == values(score(["Two."], [["Two."], ["Two!"]]))["chrf"]


def test_the_order_of_sentences_is_of_no_account() -> None:
    # That of reference sets is: chrF breaks a tie of two references at F = 0 in favour of the first.
    order = list(range(len(HYPOTHESES)))
    random.Random(1).shuffle(order)
    shuffled = score([HYPOTHESES[i] for i in order], [[lines[i] for i in order] for lines in REFERENCES])
    assert values(shuffled) == pytest.approx(values(score(HYPOTHESES, REFERENCES)), rel=1e-12)


def test_chrf_depends_on_the_order_of_reference_sets_where_a_hypothesis_matches_neither() -> None:
    hypotheses, short, long = ["", "abc"], ["x", "abc"], ["xyzxyz", "abc"]
    first, second = (
        score(hypotheses, sets, metrics=["chrf"])["chrf"]["score"] for sets in ([short, long], [long, short])
    )
    assert first > second


def test_a_missing_line_is_named_with_both_counts() -> None:
    with pytest.raises(DataError) as caught:
        score(["a", "b"], [["a", "b"], ["a"]])
    assert str(caught.value) == (
        "2 hypotheses but 1 lines in reference set 2 "
        "(line N of a reference translates the same sentence as hypothesis N)"
    )
    assert caught.value.exit_code == 3


def test_an_extra_line_is_named_with_both_counts() -> None:
    with pytest.raises(DataError, match=r"^1 hypotheses but 2 lines in reference set 1 "):
        score(["a"], [["a", "b"]])


def test_no_hypotheses_is_an_error_even_beside_empty_references() -> None:
    with pytest.raises(DataError) as caught:
        score([], [[]])
    assert str(caught.value) == "no hypotheses to score (the file of translations is empty)"


def test_no_references_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        score(["a"], [])
    assert str(caught.value) == "no references to score against (give at least one reference set)"


@pytest.mark.parametrize(("hypotheses", "references"), [(["ab"], ["ab"]), ("ab", [["a", "b"]])])
def test_a_string_in_place_of_a_list_of_strings_is_a_bug_of_the_caller(
    hypotheses: list[str], references: list[list[str]]
) -> None:
    with pytest.raises(TypeError, match=r"^hypotheses is a list of strings, references a list of such lists$"):
        score(hypotheses, references)


def test_an_unknown_tokenizer_is_refused_with_the_list_of_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        score(["a"], [["a"]], tokenize="13b")
    assert caught.value.args == ("unknown BLEU tokenizer '13b'",)
    assert caught.value.hint == f"choose one of {', '.join(sacrebleu.BLEU.TOKENIZERS)}"
    assert caught.value.hint.startswith("choose one of none, zh, 13a, intl, char, ja-mecab, ko-mecab, ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("ja-mecab", tokenizer_ja_mecab, 'pip install -e ".[ja]"'),
        ("ko-mecab", tokenizer_ko_mecab, 'pip install -e ".[ko]"'),
    ],
)
def test_a_tokenizer_that_is_not_installed_comes_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str, module: object, command: str
) -> None:
    monkeypatch.setattr(module, "MeCab", None)
    with pytest.raises(UsageError) as caught:
        score(["a"], [["a"]], tokenize=name)
    assert str(caught.value) == f"the BLEU tokenizer '{name}' needs packages that are not installed ({command})"
    assert caught.value.hint == command


@pytest.mark.parametrize(
    ("given", "named"), [("spm", "flores101"), ("flores101", "flores101"), ("flores200", "flores200")]
)
def test_a_tokenizer_that_cannot_be_downloaded_says_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, given: str, named: str
) -> None:
    def offline(*_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(metrics, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", offline)
    with pytest.raises(UsageError) as caught:
        score(["a"], [["a"]], tokenize=given)
    assert str(caught.value) == (
        f"the BLEU tokenizer '{named}' cannot be loaded: <urlopen error no network> "
        f"(sacreBLEU downloads it to {tmp_path}/models: go online, or delete a damaged copy)"
    )
    assert not caplog.records


@pytest.mark.parametrize("error", [SystemExit(1), IncompleteRead(b""), TimeoutError("timed out")])
def test_a_download_that_ends_in_any_way_is_one_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", broken)
    with pytest.raises(UsageError, match=r"^the BLEU tokenizer 'flores200' cannot be loaded: "):
        score(["a"], [["a"]], tokenize="flores200")


def test_a_tokenizer_is_not_built_where_bleu_is_not_asked_for() -> None:
    assert list(score(["a"], [["a"]], tokenize="ja-mecab", metrics=["chrf"])) == ["chrf"]


def test_tokenized_hypotheses_are_scored_without_a_word_on_the_console(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = ["a tokenized line ."] * 100
    with caplog.at_level(logging.DEBUG):
        assert values(score(lines, [lines], metrics=["bleu"])) == pytest.approx({"bleu": 100.0})
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_hundred_lines_with_a_period_apart_look_tokenized() -> None:
    assert looks_tokenized(["It is so ."] * 100 + ["It is so."])
    assert not looks_tokenized(["It is so ."] * 99 + ["It is so."])
    assert not looks_tokenized([])


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        (None, "13a"),
        ("", "13a"),
        ("de", "13a"),
        ("en-GB", "13a"),
        ("deu_Latn", "13a"),
        ("za", "13a"),
        ("jav", "13a"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh_TW", "zh"),
        ("ZH-Hant-HK", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("ja", "ja-mecab"),
        ("JA", "ja-mecab"),
        ("ja_JP", "ja-mecab"),
        ("jpn_Jpan", "ja-mecab"),
        ("ko", "ko-mecab"),
        ("ko-KR", "ko-mecab"),
        ("kor_Hang", "ko-mecab"),
        ("zh_Hans", "zh"),
        ("yue", "zh"),
        ("wuu", "zh"),
        ("lzh", "zh"),
        ("zh-classical", "zh"),
        ("zh-Latn-pinyin", "13a"),
        ("ja-Latn", "13a"),
        ("th", "char"),
        ("tha_Thai", "char"),
        ("lao_Laoo", "char"),
        ("km-KH", "char"),
        ("my", "char"),
        ("mya_Mymr", "char"),
        ("bo", "char"),
        ("dzo_Tibt", "char"),
        ("vi", "13a"),
        ("hi", "13a"),
        ("xx", "13a"),
    ],
)
def test_each_language_has_its_tokenizer(language: str | None, tokenizer: str) -> None:
    assert tokenizer_for(language) == tokenizer
    assert tokenizer in sacrebleu.BLEU.TOKENIZERS


TREES = ["(S (NP (NN cat)) (. .))", "(S (VB go))", "(S (NP (NN dog)) (VB go))"]
PARSES = [TREES[0], "(S (VB go)", "(S (NP (NN dog)) (VP (VB go)))"]


def test_trees_are_scored_by_brackets_with_signatures() -> None:
    found = score(PARSES, [TREES], metrics=["bleu", "strict-f1", "bracket-f1"])
    assert list(found) == ["strict-f1", "bracket-f1", "bleu"]
    assert values(found)["bracket-f1"] == pytest.approx(200 * 4 / 9)
    assert values(found)["strict-f1"] == pytest.approx(200 * 4 / 10)
    version = f"version:nmt-{__version__}"
    assert signatures(found)["bracket-f1"] == f"nrefs:1|evalb:COLLINS|root:no|lines:scored|{version}"
    assert signatures(found)["strict-f1"] == f"nrefs:1|evalb:COLLINS|root:no|lines:all|{version}"


def test_trees_that_match_have_an_f1_of_100_and_nothing_has_0() -> None:
    assert values(score(TREES, [TREES], metrics=BRACKETS)) == {"bracket-f1": 100, "strict-f1": 100}
    assert values(score([""] * 3, [TREES], metrics=BRACKETS)) == {"bracket-f1": 0, "strict-f1": 0}


def test_samples_of_brackets_have_the_score_of_their_lines_and_their_own_signature() -> None:
    counted = count({"": PARSES}, [TREES], tokenize="13a", lowercase=False, chrf_word_order=0, metrics=BRACKETS)[""]
    for name in BRACKETS:
        sums = np.array([counted[name].lines[0], counted[name].lines[2]], dtype=np.float64)
        alone = [score([PARSES[line]], [[TREES[line]]], metrics=[name])[name]["score"] for line in (0, 2)]
        assert counted[name].scores_of(sums).tolist() == pytest.approx(alone)
    assert counted["bracket-f1"].signature(seed=1, bs=1000).startswith("nrefs:1|bs:1000|seed:1|evalb:COLLINS|")


def test_brackets_need_one_reference_of_trees() -> None:
    with pytest.raises(UsageError) as usage:
        score(PARSES, [TREES, TREES], metrics=["bracket-f1"])
    assert str(usage.value) == "brackets have one reference, and there are 2 (give one --reference)"
    with pytest.raises(DataError, match="line 2 of the reference is no tree: 'go' is in no bracket"):
        score(PARSES, [[TREES[0], "go", TREES[2]]], metrics=["bracket-f1"])


def test_brackets_are_among_the_usual_metrics_of_trees_alone() -> None:
    assert with_brackets(("bleu", "chrf", "ter"), [TREES]) == ["bracket-f1", "strict-f1", "bleu", "chrf"]
    assert with_brackets(("bleu", "ter"), [["go"]]) == ("bleu", "ter")
    assert with_brackets(("bleu", "ter"), [TREES, TREES]) == ("bleu", "ter")
