"""Checks of the data one by one, as `nmt doctor` makes them: several corpora, what is to be fetched, what lacks."""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from checkups import CORPORA, TRAIN, checkup_of, write_corpora
from conftest import TinyRun
from huggingface_hub import constants
from runs import write_translator
from sacrebleu.tokenizers import tokenizer_ja_mecab

from nmt.advice import data_checks
from nmt.advice.checkup import Checkup, Finding
from nmt.advice.data_checks import (
    check_cleaning,
    check_data,
    check_downloads,
    check_filters,
    check_leakage,
    check_metric,
    check_normal_form,
    check_shares,
    check_symbols,
    check_synthetic,
    check_vocabulary,
)
from nmt.config.toml import load_recipe
from nmt.data import identification
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import DataError, UsageError
from nmt.pipeline.run import Run


def test_each_corpus_is_read_cleaned_and_weighed(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    small = tmp_path / "small.en"
    small.write_bytes(b"\xef\xbb\xbf" + small.read_bytes().replace(b"\n", b"\r\n", 2))
    copies = "".join(small.read_text(encoding="utf-8-sig").split("\n")[0] + "\n" for _ in range(100))
    for language in ("en", "de"):
        with (tmp_path / f"small.{language}").open("a", encoding="utf-8") as file:
            file.write(copies)
    checkup = checkup_of(tmp_path, "data.temperature=2.0", train=CORPORA)
    assert str(check_data(checkup)) == (
        "pairs of train.large 600, train.small 300, dev 10, test.test 20; UTF-8, each line with its translation; "
        "found in train.small: CRLF line ends 2, byte-order marks 1"
    )
    assert check_leakage(checkup).level == "OK"
    found = check_cleaning(checkup)
    assert (found.level, found.message) == (
        "warning",
        "of all 900 pairs, dropped: copies 100; that is 0% of large, 33% of small; over 20% of small",
    )
    assert found.advice == "check the pairs that copies drops with nmt -v prepare, or loosen [cleaning]"
    assert check_vocabulary(checkup).level == "OK"
    tokens = checkup.epoch_tokens()
    assert checkup.tokenizer.tags == ["<small>"]
    assert [weight for _, weight in tokens.values()] == [1, pytest.approx(3**0.5)]
    assert str(check_shares(checkup)).startswith("of the target tokens of an epoch: large 6")
    assert str(check_shares(checkup)).endswith("%, each pair 1.73 times")


def test_sides_that_are_swapped_or_no_text_are_found(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    swapped = '[data.train]\nsource = "large.de"\ntarget = "large.en"\n'
    found = check_data(checkup_of(tmp_path, train=swapped))
    assert found.level == "warning"
    assert found.message.endswith("; train: source and target look swapped: most pairs are de-en")
    for file, content in (("table.tsv", "0.5\tone dog\tein Hund\n"), ("large.de", "2,5\n")):
        (tmp_path / file).write_text(content * 600, encoding="utf-8")
    with pytest.raises(DataError, match=r"table\.tsv: columns 1 and 2 are read as .* 1: a score; 2: text in Latin"):
        check_data(checkup_of(tmp_path, train='[data.train]\nfiles = "table.tsv"\n'))
    with pytest.raises(DataError, match=r"^large\.en, large\.de: nearly each line of de seems to be a score, such as "):
        check_data(checkup_of(tmp_path, train='[data.train]\nsource = "large.en"\ntarget = "large.de"\n'))


def test_the_sample_has_of_each_corpus_its_share_but_some_pairs_at_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpora(tmp_path)
    monkeypatch.setattr(data_checks, "SAMPLE", 80)
    monkeypatch.setattr(data_checks, "SMALLEST", 50)
    checkup = checkup_of(tmp_path, "data.temperature=2.0", train=CORPORA)
    check_data(checkup)
    assert check_cleaning(checkup).message.startswith(
        "of 110 of 800 pairs, the first of each corpus, dropped: none; that is"
    )
    assert {name: funnel.read for name, funnel in checkup.sample.funnels.items()} == {
        "large": 60,
        "small": 50,
    }
    assert check_vocabulary(checkup).level == "OK"
    tokens = checkup.epoch_tokens()
    assert [weight for _, weight in tokens.values()] == [1, pytest.approx(3**0.5)]
    lengths = checkup.train.tgt_lengths
    assert lengths.dtype.itemsize == 1
    assert tokens["large"][0] == pytest.approx(10 * lengths[:60].sum(dtype=int))
    assert not checkup.is_whole
    assert not checkup.is_cut


def test_an_only_corpus_has_all_of_an_epoch(tmp_path: Path) -> None:
    checkup = checkup_of(tmp_path, "data.train.pairs=300")
    check_data(checkup)
    check_cleaning(checkup)
    check_vocabulary(checkup)
    assert str(check_shares(checkup)) == "of the target tokens of an epoch: train 100.0%"


def test_leaked_pairs_stay_where_a_corpus_of_its_own_cleaning_keeps_them(tmp_path: Path) -> None:
    keeping = "[data.train.small.cleaning]\ndrop_leaked = false\ndrop_leaked_near = false\n"
    for train, level in ((CORPORA, "OK"), (CORPORA + keeping, "warning")):
        checkup = checkup_of(tmp_path, train=train)
        checkup.leaks = {"dev": (1000, 10, 10)}
        assert check_leakage(checkup).level == level
    assert check_leakage(checkup) == Finding(
        "warning",
        "of dev, 10 of 1,000 sources are in train, 10 with the same target; pairs of dev stay in train",
        "set cleaning.drop_leaked = true",
    )


def test_examples_of_a_task_that_are_in_dev_are_a_fact_and_no_problem(tmp_path: Path) -> None:
    task = '[data.train]\ntask = "copy"\npairs = 10\n'
    mixed = '[data.train.made]\ntask = "copy"\npairs = 10\n' + CORPORA
    for train, level in ((task, "OK"), (mixed, "warning")):
        checkup = checkup_of(tmp_path, train=train)
        checkup.leaks = {"dev": (1000, 500, 500)}
        found = check_leakage(checkup)
        assert found.level == level
        assert str(found).startswith("of dev, 500 of 1,000 sources are in train, 500 with the same target")


def test_the_filters_of_each_corpus_are_listed(tmp_path: Path) -> None:
    assert str(check_filters(checkup_of(tmp_path))) == (
        "empty, max_characters, max_ratio, copies, urls, leaked, leaked_near, duplicates"
    )
    own = '[data.train.small.cleaning]\nmax_characters = "none"\nmin_characters = 2\ndrop_same_source = true\n'
    assert str(check_filters(checkup_of(tmp_path, train=CORPORA + own))) == (
        "of large: empty, max_characters, max_ratio, copies, urls, leaked, leaked_near, duplicates; "
        "of small: empty, min_characters, max_ratio, copies, urls, leaked, leaked_near, duplicates, same_source"
    )


def test_languages_to_be_checked_without_the_package_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    identification.identifier.cache_clear()
    with pytest.raises(UsageError) as error:
        check_filters(checkup_of(tmp_path, "cleaning.check_language=true"))
    identification.identifier.cache_clear()
    assert str(error.value) == (
        'cleaning.check_language = true needs a package that is not installed (pip install -e ".[langid]")'
    )


def test_what_is_to_be_fetched_is_named_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sacrebleu, "SACREBLEU_DIR", str(tmp_path / "sacrebleu"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    content = b"pairs"
    digest = hashlib.sha256(content).hexdigest()
    train = f"""\
[data.downloads."all.tar"]
url = ["https://one.test/all.tar", "https://two.test/all.tar"]
sha256 = "{digest}"

[data.downloads."more.tsv.gz"]
url = "https://one.test/more"
sha256 = "{digest}"

[data.train.all]
source = "all.tar/train.en"
target = "all.tar/train.de"

[data.train.more]
files = ["more.tsv", "here.tsv", "nowhere.tsv"]

[data.train.hub]
dataset = "some/pairs"

[data.train.news]
files = "sacrebleu:wmt14/full"
"""
    (tmp_path / "here.tsv").write_text("Yes.\tJa.\n", encoding="utf-8")
    checkup = checkup_of(tmp_path, train=train)
    both = "https://one.test/all.tar or https://two.test/all.tar"
    (url,) = sacrebleu.DATASETS["wmt14/full"].data or []
    assert check_downloads(checkup) == Finding(
        "skipped",
        f"not downloaded yet: all.tar/train.en from {both}; all.tar/train.de from {both}; "
        "more.tsv from https://one.test/more; dataset some/pairs from the Hugging Face Hub; "
        f"sacrebleu:wmt14/full from {url}",
        "run nmt prepare, which downloads it, then nmt doctor again",
    )
    assert not (tmp_path / "cache").exists()

    for name in ("all.tar", "more.tsv.gz"):
        path = tmp_path / "cache" / "downloads" / digest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    hub = tmp_path / "hub" / "datasets--some--pairs"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("a" * 40, encoding="ascii")
    (hub / "snapshots" / ("a" * 40)).mkdir(parents=True)
    archive = tmp_path / "sacrebleu" / "wmt14" / "full" / "raw" / "wmt14_full.test-full.tgz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"there")
    assert str(check_downloads(checkup)) == "nothing to download"
    streaming = checkup_of(tmp_path, "data.train.hub.streaming=true", train=train)
    assert "dataset some/pairs from the Hugging Face Hub (" in str(check_downloads(streaming))


def test_a_download_that_no_corpus_names_is_a_warning(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    names = ("large.en.gz", "small.de", "zzz.tsv", "yyy.tsv")
    section = '[data.downloads."{}"]\nurl = "https://one.test/file"\nsha256 = "' + "0" * 64 + '"\n\n'
    checkup = checkup_of(tmp_path, train="".join(map(section.format, names)) + CORPORA)
    assert check_downloads(checkup) == Finding(
        "warning",
        "nothing to download; no corpus names the downloads zzz.tsv, yyy.tsv",
        "a corpus names a download as a file: remove the download, or correct its name",
    )


def test_a_training_corpus_that_is_not_there_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    write_corpora(tmp_path)
    (tmp_path / "small.en").unlink()
    section = f'[data.downloads."{{}}"]\nurl = "https://one.test/file"\nsha256 = "{"0" * 64}"\n\n'
    checkup = checkup_of(tmp_path, train=section.format("small.en") + section.format("zzz.tsv") + CORPORA)
    assert check_downloads(checkup) == Finding(
        "skipped",
        "not downloaded yet: small.en from https://one.test/file; no corpus names the downloads zzz.tsv",
        "run nmt prepare, which downloads it, then nmt doctor again; "
        "a corpus names a download as a file: remove the download, or correct its name",
    )
    assert checkup.left_out == []


def test_a_corpus_of_which_cleaning_leaves_hardly_a_pair_is_a_warning(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    for language in ("en", "de"):
        (tmp_path / f"small.{language}").write_text("same\n" * 300, encoding="utf-8")
    checkup = checkup_of(tmp_path, train=CORPORA)
    check_data(checkup)
    tip = "check the pairs that copies drops with nmt -v prepare, or loosen [cleaning]"
    found = check_cleaning(checkup)
    assert (found.level, found.advice) == ("warning", tip)
    assert found.message.endswith("that is 0% of large, 100% of small; left of small: none of 300 pairs")
    assert check_vocabulary(checkup).level == "OK"
    assert "small 0.0%" in str(check_shares(checkup))
    with (tmp_path / "small.de").open("a", encoding="utf-8") as file:
        file.write("andere\nganz andere\n")
    with (tmp_path / "small.en").open("a", encoding="utf-8") as file:
        file.write("others\nquite others\n")
    checkup = checkup_of(tmp_path, train=CORPORA)
    check_data(checkup)
    found = check_cleaning(checkup)
    assert (found.level, found.advice) == ("warning", tip)
    assert found.message.endswith("99% of small; left of small: 2 of 302 pairs")


def test_a_corpus_of_pairs_that_are_all_too_long_is_a_warning(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    for language, word in (("en", "house "), ("de", "Haus ")):
        text = "".join(f"{word * 60}{number}\n" for number in range(30))
        (tmp_path / f"small.{language}").write_text(text, encoding="utf-8")
    checkup = checkup_of(tmp_path, "cleaning.max_pieces=50", train=CORPORA)
    check_data(checkup)
    check_cleaning(checkup)
    found = check_vocabulary(checkup)
    assert found.level == "warning"
    assert found.message.endswith("; left of small: none of 30 pairs")
    assert found.advice.endswith("check the pairs that max_pieces drops with nmt -v prepare, or loosen [cleaning]")


def test_a_test_set_that_there_is_not_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        check_downloads(checkup_of(tmp_path, train='[data.train]\nfiles = "sacrebleu:wmt1/full"\n'))
    assert str(error.value).startswith("sacrebleu:wmt1/full: sacreBLEU has no test set 'wmt1/full' (did you mean ")


def test_tags_and_placeholders_are_looked_for_in_a_tokenizer_that_is_taken_over(
    tmp_path: Path, tiny: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(check_symbols(checkup_of(tmp_path))) == "not asked for"
    tagged = TRAIN + 'tags = ["<a>", "<b>"]\n'
    asked = ("data.protect='[0-9]+'", "tokenizer.placeholders=3")
    assert str(check_symbols(checkup_of(tmp_path, *asked, train=tagged))) == "<a>, <b>, 3 placeholders"

    begun = f"training.init_from='{tiny.model}'"
    assert check_symbols(checkup_of(tmp_path, begun, train=tagged)) == Finding(
        "warning",
        "<a>, <b>; the tokenizer of training.init_from splits <a>, <b> into pieces",
        "begin with a model whose recipe had these tags, or leave out training.init_from or the tags",
    )
    with pytest.raises(UsageError) as error:
        check_symbols(checkup_of(tmp_path, begun, "data.protect='[0-9]+'"))
    assert str(error.value) == (
        "data.protect needs placeholders, and the tokenizer of training.init_from has none (begin with a model whose "
        "recipe had tokenizer.placeholders, or leave out data.protect)"
    )
    load_tokenizer = Tokenizer.load

    def knowing(folder: Path) -> Any:
        found = load_tokenizer(folder)
        found.tags, found.placeholders = ["<b>", "<a>"], 2
        return found

    monkeypatch.setattr(Tokenizer, "load", knowing)
    found = check_symbols(checkup_of(tmp_path, begun, asked[0], train=tagged))
    assert dataclasses.astuple(found)[:2] == ("OK", "<a>, <b>, 2 placeholders")


def metric_found(folder: Path, references: list[str], *settings: str) -> Finding:
    """Return what is found of a dev set with these targets."""
    for language, lines in {
        "en": [f"sentence {number}" for number in range(len(references))],
        "de": references,
    }.items():
        (folder / f"own.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    scratch, recipe = checkup_of(folder).scratch, folder / "tiny.toml"
    own = '[data.dev]\nsource = "own.en"\ntarget = "own.de"\n'
    text = recipe.read_text(encoding="utf-8").replace('[data.dev]\nbuiltin = "dev"\npairs = 10\n', own)
    assert own in text
    recipe.write_text(text, encoding="utf-8")
    checkup = Checkup(Run(load_recipe(str(recipe), settings), run_dir=folder / "run"), scratch)
    check_data(checkup)
    check_cleaning(checkup)
    return check_metric(checkup)


WORDS = [f"ein kleiner Satz Nummer {number}" for number in range(20)]


def test_a_metric_that_fits_dev_is_ok(tmp_path: Path) -> None:
    assert metric_found(tmp_path, WORDS) == Finding(
        "OK", "BLEU ranks the checkpoints; BLEU's tokenizer is 13a: 5.0 words a dev line"
    )


def test_a_tokenizer_that_finds_no_words_in_dev_is_a_warning(tmp_path: Path) -> None:
    found = metric_found(tmp_path, [f"ประโยคภาษาไทยที่{number}" for number in range(20)])
    assert found.level == "warning"
    assert found.message.endswith("; BLEU's tokenizer 13a finds no words in text without spaces between them")
    assert found.advice == 'set evaluation.tokenize = "char"'


@pytest.mark.parametrize("lines", [["ein Haus", "Baum"] * 10, ["ein Haus", "Baum", *WORDS[:3]] * 4])
def test_bleu_of_lines_of_few_words_is_a_warning_and_chrf_is_none(tmp_path: Path, lines: list[str]) -> None:
    found = metric_found(tmp_path, lines)
    assert (found.level, found.advice) == ("warning", 'set training.best_metric = "chrf"')
    assert "BLEU counts n-grams of up to 4" in found.message
    assert metric_found(tmp_path, lines, "training.best_metric=chrf").level == "OK"


def test_blank_targets_of_dev_are_a_warning(tmp_path: Path) -> None:
    found = metric_found(tmp_path, [*WORDS, "\u200b"])
    assert (found.level, found.advice) == ("warning", "correct or remove these lines of dev")
    assert "1 of 21 lines is blank in the reference: line 21" in found.message


def test_a_tokenizer_that_is_not_installed_is_found_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    with pytest.raises(UsageError, match="needs packages that are not installed"):
        metric_found(tmp_path, WORDS, "evaluation.tokenize=ja-mecab")


def normal_form_found(folder: Path, ending: Callable[[int], str], *settings: str) -> Finding:
    """Return what is found of targets that end in `ending` of their numbers."""
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    for split, start in (("train", 0), ("dev", 1)):
        pairs = [(f"{words[(i + start) % 97]} {words[i % 89]} {i}", f"{words[i % 83]}{ending(i)}") for i in range(300)]
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{split} {pair[side]}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    own = '[data.train]\nsource = "train.en"\ntarget = "train.de"\n'
    scratch, recipe = checkup_of(folder, train=own).scratch, folder / "tiny.toml"
    dev = '[data.dev]\nsource = "dev.en"\ntarget = "dev.de"\n'
    recipe.write_text(recipe.read_text(encoding="utf-8").replace('[data.dev]\nbuiltin = "dev"\npairs = 10\n', dev))
    overrides = ["cleaning.drop_leaked_near=false", *settings]
    checkup = Checkup(Run(load_recipe(str(recipe), overrides), run_dir=folder / "run"), scratch)
    for check in (check_data, check_cleaning, check_vocabulary):
        check(checkup)
    return check_normal_form(checkup)


@pytest.mark.parametrize(
    ("settings", "level", "said"),
    [
        ([], "OK", "normalisation changes 0 of 300 target lines"),
        (
            ["tokenizer.target_normalization=nmt_nfkc"],
            "warning",
            "normalisation changes 300 of 300 target lines, for example '，' to ',', '½' to '1⁄2'; 300 of 300 "
            "references of dev differ from what it leaves",
        ),
        (["tokenizer.target_normalization=none"], "warning", "no translation can have what it replaces in the target"),
        (["tokenizer.target_normalization=identity"], "OK", "normalisation changes 0 of 300 target lines"),
    ],
)
def test_a_target_whose_characters_are_replaced_is_a_warning(
    tmp_path: Path, settings: list[str], level: str, said: str
) -> None:
    found = normal_form_found(tmp_path, lambda i: f"，{i}½", *settings)
    assert found.level == level
    assert said in found.message
    assert ('set tokenizer.target_normalization = "nfc"' in found.advice) == (level == "warning")


@pytest.mark.parametrize(("every", "level"), [(100, "OK"), (60, "warning")])
def test_references_that_are_not_in_the_normal_form_are_counted(tmp_path: Path, every: int, level: str) -> None:
    found = normal_form_found(tmp_path, lambda i: "e\u0301" if i % every == 0 else "é")
    count = 300 // every
    assert (found.level, found.message.partition("; scores")[0]) == (
        level,
        "normalisation changes 0 of 300 source lines; normalisation changes 0 of 300 target lines, and composes "
        f"{count}; {count} of 300 references of dev differ from what it leaves",
    )
    assert found.advice == ("bring the references into that form" if level == "warning" else "")


def test_text_that_identity_leaves_decomposed_is_a_warning(tmp_path: Path) -> None:
    found = normal_form_found(tmp_path, lambda i: "e\u0301" * (i % 2), "tokenizer.target_normalization=identity")
    assert found.message.endswith("; 150 target lines are not in NFC")
    assert found.advice == 'set tokenizer.target_normalization = "nfc"'


def test_monolingual_text_is_examined_as_lines_of_its_language(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    lines = '[data.monolingual.large]\nlanguage = "en"\ntext = "large.en"\n[data.monolingual.small]\nlanguage = "de"\n'
    named = lines + 'text = "small.de"\n'
    objective = "training.objective=language-model"
    checkup = checkup_of(tmp_path, objective, train=named)
    assert str(check_data(checkup)) == (
        "pairs of dev 10, test.test 20; lines of monolingual.large 600, monolingual.small 200; "
        "UTF-8, each line with its translation"
    )
    assert str(check_leakage(checkup)) == "monolingual lines that are in dev or test are dropped"
    assert check_cleaning(checkup).message.startswith("of all 800 lines, dropped: none; that is 0% of large")
    assert check_vocabulary(checkup).level == "OK"
    assert list(checkup.epoch_tokens()) == ["large", "small"]
    keeping = "[data.monolingual.small.cleaning]\ndrop_leaked = false\ndrop_leaked_near = false\n"
    checkup = checkup_of(tmp_path, objective, train=named + keeping)
    checkup.leaks = {"dev": (10, 0, 0)}
    assert check_leakage(checkup) == Finding(
        "warning",
        "monolingual lines that are in dev or test are not looked for; cleaning does not drop them from small",
        "set cleaning.drop_leaked = true",
    )
    (tmp_path / "small.de").write_text("2,5\n" * 600, encoding="utf-8")
    with pytest.raises(DataError, match=r"^small\.de: nearly each line of de seems to be a score, such as "):
        check_data(checkup_of(tmp_path, objective, train=named))


def test_models_of_synthetic_pairs_are_opened_and_their_lines_are_no_swapped_pairs(tmp_path: Path) -> None:
    model = write_translator(tmp_path / "back", "de", "en")
    lines = [f"Der Hund sieht die Katze und den Vogel Nummer {word}." for word in "abcdefghijklmnopqrstuvwxyz" * 8]
    (tmp_path / "news.de").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert str(check_synthetic(checkup_of(tmp_path))) == "not asked for"
    write_corpora(tmp_path)
    mono = f'[data.train.mono]\nmonolingual = "news.de"\ntranslate_with = {json.dumps(str(model))}\n'
    checkup = checkup_of(tmp_path, train=CORPORA + mono)
    assert str(check_synthetic(checkup)) == (
        f"mono by {model}, de to en, beam; nothing is translated here: later checks take the text as it is"
    )
    assert str(check_data(checkup)) == (
        "pairs of train.large 600, train.small 200, dev 10, test.test 20; lines of train.mono 208; UTF-8, each line "
        "with its translation"
    )
    assert "copies" not in str(check_cleaning(checkup))
    assert checkup.sample.funnels["mono"].kept == 26
