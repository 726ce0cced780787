import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from nmt.config.data import CleaningConfig
from nmt.config.languages import LanguagesConfig
from nmt.data import identification
from nmt.data.cleaning import filters as module
from nmt.data.cleaning.filters import DUPLICATES, Filter, clean, duplicate_filters, entities_of, filters
from nmt.data.cleaning.funnel import Funnel
from nmt.data.cleaning.keys import HeldOut
from nmt.data.pairs import Pair
from nmt.errors import UsageError

Pairs = list[Pair]

ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")
OFF = CleaningConfig(
    control_characters=False,
    whitespace=False,
    drop_empty=False,
    max_characters=None,
    max_ratio=None,
    drop_copies=False,
    drop_urls=False,
    drop_leaked=False,
    drop_leaked_near=False,
    drop_duplicates=False,
)
EVERYTHING = {
    "min_characters": 2,
    "min_script": 0.5,
    "drop_digit_mismatch": True,
    "max_punctuation_difference": 1,
    "check_language": True,
    "drop_leaked_sides": True,
}


def run(pairs: Pairs, config: CleaningConfig, held_out: HeldOut | None = None) -> tuple[Pairs, Funnel]:
    funnel = Funnel()
    kept = list(clean(pairs, config, ENGLISH_GERMAN, held_out=held_out or HeldOut(), funnel=funnel))
    return kept, funnel


def only(**options: object) -> CleaningConfig:
    return OFF.model_copy(update=options)


def the_filter(languages: LanguagesConfig = ENGLISH_GERMAN, **options: object) -> Filter:
    (drops,) = filters(only(**options), languages, HeldOut()).values()
    return drops


def mended(text: str, **options: object) -> str:
    (((source, target),), _) = run([(text, text)], only(**options))
    assert source == target
    return source


def test_without_mends_and_filters_everything_passes_unchanged() -> None:
    pairs = [("", ""), ("a", "a"), ("a", "a"), (" b\x00 ", "c" * 5000)]
    kept, funnel = run(pairs, OFF)
    assert kept == pairs
    assert funnel == Funnel(read=4, kept=4)


def test_every_enabled_filter_and_mend_is_counted_in_order_zeros_included() -> None:
    _, funnel = run([("a", "b")], CleaningConfig())
    names = ["empty", "max_characters", "max_ratio", "copies", "urls", "leaked", "leaked_near"]
    assert list(funnel.dropped.items()) == [(name, 0) for name in names]
    assert list(funnel.mended.items()) == [("control_characters", 0), ("whitespace", 0)]
    assert run([], CleaningConfig())[1].dropped == funnel.dropped


def test_all_filters_come_in_the_order_of_the_recipe() -> None:
    pytest.importorskip("py3langid")
    config = CleaningConfig().model_copy(update=EVERYTHING)
    fields = [name.removeprefix("drop_") for name in CleaningConfig.model_fields]
    names = list(filters(config, ENGLISH_GERMAN, HeldOut()))
    others = {"script": "min_script", "punctuation": "max_punctuation_difference", "language": "check_language"}
    places = [fields.index(others.get(name, name)) for name in names]
    assert len(names) == 13
    assert places == sorted(places)


def test_each_pair_is_counted_by_the_first_filter_that_drops_it() -> None:
    pairs = [
        ("", ""),
        ("x" * 1001, "x" * 1001),
        ("a", "b" * 99),
        ("a", "a"),
        ("https://a.example", "b"),
        ("the one", "das eine"),
        ("The one!", "Das eine"),
        ("a", "b"),
    ]
    kept, funnel = run(pairs, CleaningConfig(), HeldOut.of([("the one", "das eine")]))
    assert kept == [("a", "b")]
    assert set(funnel.dropped.values()) == {1}
    assert (funnel.read, funnel.kept) == (8, 1)


def test_control_characters_go_and_line_breaks_among_them_part_words() -> None:
    assert mended("\ufeffa\x00b\x7f\x9fc\ufffed\uffff", control_characters=True) == "abcd"
    assert mended("a\nb\rc\x0bd\x85e", control_characters=True) == "a b c d e"
    assert mended("a\tb\u2028c\u00add\u200be", control_characters=True) == "a\tb\u2028c\u00add\u200be"


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("Salt &amp; pepper", "Salt & pepper"),
        ("don &apos;t &#39;say&#39; &#x2019;", "don 't 'say' \u2019"),
        ("&#91; 1 &#93; a &#124; b &lt; c &gt; d", "[ 1 ] a | b < c > d"),
        ("&quot;Stra&szlig;e&quot;", '"Straße"'),
        ("&amp;quot; &amp;amp;amp; &#38;lt;", '" & <'),
        ("AT&T; R&D &nosuch; &notit; & &amp &#; &#xZ;", "AT&T; R&D &nosuch; &notit; & &amp &#; &#xZ;"),
        ("a &nosuch; b &amp; c", "a &nosuch; b & c"),
    ],
)
def test_entities_become_the_characters_that_they_stand_for(text: str, decoded: str) -> None:
    assert mended(text, entities=True) == decoded
    assert mended(decoded, entities=True) == decoded
    assert mended(text) == text


def test_any_number_of_levels_is_decoded_in_little_time() -> None:
    for ampersand in ("amp;", "#38;", "#x26;"):
        assert mended(f"a &{ampersand * 200_000}lt; b", entities=True) == "a < b"
    assert mended("&amp;amp &amp;nosuch; &AMP;#038;", entities=True) == "&amp &nosuch; &"


def test_entities_are_decoded_before_the_other_fixes() -> None:
    assert mended("a&#10;b&#32;&#32;c&#7;", entities=True, control_characters=True, whitespace=True) == "a b c"
    assert entities_of("&amp; &AMP; &lt &nosuch; &#39;") == ["&amp;", "&AMP;", "&#39;"]


def test_runs_of_white_space_become_one_space_and_none_at_the_ends() -> None:
    assert mended("\u3000 a\t\tb\u00a0\u2028c  ", whitespace=True) == "a b c"
    assert mended("a\x00 \u200bb", whitespace=True) == "a\x00 \u200bb"


def test_special_spaces_stay_where_they_stand_alone_within_a_text() -> None:
    french = "«\u00a0Vrai\u202f?\u00a0» dit\u3000elle"
    assert mended(french, whitespace=True, keep_special_spaces=True) == french
    assert mended("\u3000a\u202f\u00a0b \u00a0c\u00a0", whitespace=True, keep_special_spaces=True) == "a b c"
    assert mended("a\tb\u2028c\x1fd", whitespace=True, keep_special_spaces=True) == "a b c d"
    assert mended(french, whitespace=True, keep_special_spaces=False) == "« Vrai ? » dit elle"
    assert mended(french, whitespace=False, keep_special_spaces=True) == french


def test_text_comes_into_the_normal_form_that_was_asked_for() -> None:
    assert mended("u\u0308 ﬁ", unicode="nfc") == "ü ﬁ"
    assert mended("u\u0308 ﬁ", unicode="nfkc") == "ü fi"
    assert mended("u\u0308 ﬁ") == "u\u0308 ﬁ"


def test_what_a_control_character_parted_is_composed_after_it_went() -> None:
    assert mended("u\x00\u0308", control_characters=True, unicode="nfc") == "ü"


def test_mended_sides_are_counted_by_what_changed_them_even_of_dropped_pairs() -> None:
    _, funnel = run([("a\x00", " b"), (" c", " c"), ("a", "\x00"), ("d", "e")], CleaningConfig(unicode="nfc"))
    assert funnel.mended == {"control_characters": 2, "unicode": 0, "whitespace": 3}
    assert funnel.kept == 2


def test_filters_see_the_mended_text() -> None:
    _, funnel = run([("\x00", "a"), (" b", "b"), ("https://a.example\x00", "c")], CleaningConfig())
    assert {name for name, count in funnel.dropped.items() if count} == {"empty", "copies", "urls"}


def test_blank_sides_are_dropped() -> None:
    pairs = [("a", " \t\u3000"), ("", "b"), ("\u200b", "b"), ("a", "b")]
    assert run(pairs, only(drop_empty=True))[0] == [("a", "b")]


def test_a_side_may_have_min_characters_but_not_one_less() -> None:
    pairs = [("a" * 3, "b" * 3), ("a" * 2, "b" * 3), ("a" * 3, "b" * 2)]
    assert run(pairs, only(min_characters=3))[0] == pairs[:1]
    assert not filters(only(min_characters=1), ENGLISH_GERMAN, HeldOut())


def test_a_side_may_have_max_characters_but_not_one_more() -> None:
    pairs = [("a" * 10, "b"), ("a", "ä" * 10), ("a" * 11, "b"), ("a", "b" * 11)]
    assert run(pairs, only(max_characters=10))[0] == pairs[:2]


def test_lopsided_pairs_are_dropped_once_long_enough() -> None:
    config = only(max_ratio=4.0, ratio_from=20)
    kept = [("a" * 20, "b" * 5), ("a" * 5, "b" * 20), ("a", "b" * 19)]
    dropped = [("a" * 21, "b" * 5), ("a" * 4, "b" * 20), ("", "b" * 20)]
    assert run(kept + dropped, config)[0] == kept


def test_copies_are_dropped_whatever_space_surrounds_them() -> None:
    pairs = [("a", "a "), ("a", "A")]
    assert run(pairs, only(drop_copies=True))[0] == [("a", "A")]


@pytest.mark.parametrize(
    "side",
    [
        "https://nmt.example/path?a=b#c",
        "HTTP://NMT.EXAMPLE",
        "WWW.nmt.example",
        "<https://a.example>, (www.b.example)!",
        "someone.else+x@mail.nmt.example",
        "mailto://a@b.example; b@c.example",
        "https://de.nmt.example/Übersetzung",
    ],
)
def test_a_side_of_nothing_but_addresses_is_dropped(side: str) -> None:
    drops = the_filter(drop_urls=True)
    assert drops(side, "eins")
    assert drops("one", side)


@pytest.mark.parametrize(
    "side",
    [
        "see https://nmt.example",
        "https://nmt.example or so",
        "请看https://nmt.example。谢谢",
        "https://nmt.example。谢谢",
        "@everyone",
        "a @ b",
        "12:30 // 14:00",
        "wwww.nmt",
        "...",
        "",
    ],
)
def test_a_side_with_more_than_addresses_or_none_stays(side: str) -> None:
    assert not the_filter(drop_urls=True)(side, side)


def test_a_long_line_without_spaces_is_looked_at_quickly() -> None:
    # Were a look's length not bounded, this would take minutes.
    assert not the_filter(drop_urls=True)("a" * 100_000 + "@", "a@" * 50_000 + "b")


def test_letters_of_other_scripts_are_borne_up_to_min_script() -> None:
    drops = the_filter(LanguagesConfig(source="ru", target="en"), min_script=0.5)
    assert not drops("Это IBM", "This is IBM")
    assert drops("Это IBMs", "These are IBMs")
    assert drops("Это", "Это")
    assert not drops("123 !", "...")


def test_digits_must_be_the_same_in_whatever_order_and_script() -> None:
    drops = the_filter(drop_digit_mismatch=True)
    assert not drops("1,000 on 3/12", "am 12.3.: 1.000")
    assert not drops("3 km²", "٣ km")
    assert drops("11", "1")
    assert drops("seven", "7")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("One. Two.", "Eins; zwei."),
        ("Well... no?!", "Nun … nein."),
        ("3.5 of a.b", "3,5 von a.b."),
        ("Yes! No! Oh?", "はい！いいえ！あれ？"),
        ("One. Two.", "एक। दो।"),
        ("One?", "واحد؟"),
    ],
)
def test_marks_that_end_sentences_may_differ_by_as_many_as_given(source: str, target: str) -> None:
    assert not the_filter(max_punctuation_difference=1)(source, target)
    assert not the_filter(max_punctuation_difference=1)(target, source)


def test_one_more_mark_than_given_is_too_many() -> None:
    for pair in (("One. Two. Three.", "Eins, zwei, drei."), ("No", "Nein. Nein!")):
        assert the_filter(max_punctuation_difference=1)(*pair)
        assert the_filter(max_punctuation_difference=1)(*reversed(pair))
        assert not the_filter(max_punctuation_difference=2)(*pair)
    assert the_filter(max_punctuation_difference=0)("One.", "Eins")


class ByFirstWord:
    """Takes the first word of a side for its language; the others share a tenth of the probability."""

    def __init__(self) -> None:
        self.labels: Sequence[str] = ("da", "de", "en", "fr", "la", "nn", "no", "zxx")

    def set_languages(self, langs: Sequence[str]) -> None:
        self.labels = langs

    def classify(self, text: str) -> tuple[str, float]:
        return self.rank(text)[0]

    def rank(self, text: str) -> list[tuple[str, float]]:
        found, _, share = text.split()[0].partition("/")
        others = [label for label in self.labels if label != found]
        best = float(share or 0.9)
        ranked = [(found, best)] if found in self.labels else []
        return ranked + [(label, (1 - best * len(ranked)) / len(others)) for label in others]


@pytest.fixture
def by_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "identifier", lambda *_, **__: ByFirstWord())


@pytest.mark.usefixtures("by_first_word")
def test_a_side_of_another_language_is_dropped_once_long_enough() -> None:
    drops = the_filter(LanguagesConfig(source="en-GB", target="nb_NO"), check_language=True, language_from=6)
    assert not drops("en word", "no word")
    assert drops("de word", "no word")
    assert drops("en word", "de word")
    assert not drops("de wor", "de 1, 2")


@pytest.mark.usefixtures("by_first_word")
def test_variants_small_languages_and_no_language_do_not_count_against_a_side() -> None:
    languages = LanguagesConfig(source="en", target="no")
    drops = the_filter(languages, check_language=True, language_from=1)
    assert not any(drops("en", f"{label} word") for label in ("nn", "da", "la", "zxx"))
    assert not drops("la word", "no")
    assert drops("da word", "no")
    latin = the_filter(LanguagesConfig(source="en", target="la"), check_language=True, language_from=1)
    assert not latin("en", "la word")
    assert latin("la word", "la word")


@pytest.mark.usefixtures("by_first_word")
def test_another_language_is_so_many_times_likelier() -> None:
    # Of five labels four share the rest: 0.8 is 16 times as much as 0.05, and 0.6 six times as much as 0.1.
    likely, rather = "de/0.8 word", "de/0.6 word"

    def dropped(margin: float | None) -> list[bool]:
        settings: dict[str, Any] = {"check_language": True, "language_from": 1, "language_margin": margin}
        drops = the_filter(LanguagesConfig(source="en", target="fr"), **settings)
        return [drops(side, "fr") for side in (likely, rather)]

    assert [dropped(margin) for margin in (20.0, 10.0, 1.0, None)] == [
        [False, False], [True, False], [True, True], [True, True],
    ]  # fmt: skip


@pytest.mark.usefixtures("by_first_word")
def test_without_a_margin_any_other_label_counts_and_so_do_all_characters() -> None:
    drops = the_filter(
        LanguagesConfig(source="en", target="no"), check_language=True, language_from=7, language_margin=None
    )
    assert all(drops("en ....", f"{label} ....") for label in ("nn", "da", "la", "zxx"))
    assert not drops("en ....", "no ....")
    assert not drops("de ...", "de ...")


@pytest.mark.usefixtures("by_first_word")
@pytest.mark.parametrize(("key", "other"), [("source", "target"), ("target", "source")])
def test_a_language_that_cannot_be_told_is_an_error_before_anything_is_read(key: str, other: str) -> None:
    languages = LanguagesConfig.model_validate({key: "tlh", other: "en"})
    with pytest.raises(UsageError) as caught:
        next(clean(unreadable(), only(check_language=True), languages, held_out=HeldOut(), funnel=Funnel()))
    assert str(caught.value) == (
        f"languages.{key} = 'tlh': a language that cleaning.check_language cannot tell from others "
        "(set cleaning.check_language to false)"
    )


def unreadable() -> Iterator[Pair]:
    raise AssertionError("nothing is to be read")
    yield


def test_without_the_package_that_tells_languages_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identification.identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(UsageError) as caught:
        next(clean(unreadable(), only(check_language=True), ENGLISH_GERMAN, held_out=HeldOut(), funnel=Funnel()))
    assert str(caught.value) == (
        'cleaning.check_language = true needs a package that is not installed (pip install -e ".[langid]")'
    )


GOOD_LINES = {
    "en": [
        "Microsoft SQL Server Analysis Services Enterprise Edition",
        "Lorem ipsum dolor parameter: INPUT_FORMAT, OUTPUT_FORMAT",
        "1,024 x 768; 12.5 % of 3,000 kg; 2026-11-28, 14:30",
    ],
    "zh-TW": ["請在螢幕右下角點選「設定」圖示,然後重新啟動電腦。", "軟體更新完成後,所有檔案都會自動儲存到雲端硬碟。"],
    "zh": ["请在屏幕右下角点击“设置”图标，然后重新启动计算机。"],
    "yue_Hant": ["今日天氣好好，我哋一齊去公園行吓啦，你話好唔好呀？"],
    "nb": ["Programmet lagrer alle endringer før datamaskinen slås av."],
    "nn": ["Programmet lagrar alle endringane før datamaskina vert slått av."],
    "hr": ["Program sprema sve promjene prije nego što se računalo isključi."],
    "sr-Latn": ["Program čuva sve promene pre nego što se računar isključi."],
    "ms": ["Program ini menyimpan semua perubahan sebelum komputer dimatikan."],
    "arz": ["البرنامج بيحفظ كل التغييرات قبل ما الكمبيوتر يتقفل خالص."],
    "iw": ["התוכנה שומרת את כל השינויים לפני שהמחשב נכבה."],
    "fil": ["Ini-save ng programa ang lahat ng pagbabago bago patayin ang kompyuter."],
    "de": ["Das Programm sichert alle Änderungen, bevor der Rechner abgeschaltet wird."],
}


@pytest.mark.parametrize("code", GOOD_LINES)
def test_good_lines_stay_and_those_of_other_languages_go(code: str) -> None:
    pytest.importorskip("py3langid")
    other = "de" if code == "en" else "en"
    drops = the_filter(LanguagesConfig(source=other, target=code), check_language=True)
    source = GOOD_LINES[other][-1]
    assert [drops(source, line) for line in GOOD_LINES[code]] == [False] * len(GOOD_LINES[code])
    foreign = ["La fenêtre s'ouvre dès que vous cliquez sur le bouton.", "Окно открывается, как только вы нажмёте."]
    english = "The program saves all changes before the computer is switched off."
    foreign += [GOOD_LINES["de"][0]] if other == "de" else [english]
    assert [drops(source, line) for line in foreign] == [True] * 3


def test_plain_english_and_german_are_told_apart() -> None:
    pytest.importorskip("py3langid")
    english, german = "The weather will be nice again tomorrow.", "Morgen wird das Wetter wieder schön sein."
    drops = the_filter(check_language=True)
    assert not drops(english, german)
    assert drops(english, english)
    assert drops(german, german)


def test_a_pair_of_dev_or_test_is_dropped_but_not_its_halves() -> None:
    held_out = HeldOut.of([("a", "b")])
    pairs = [("a ", " b"), ("a", "c"), ("c", "b"), ("b", "a"), ("A", "b")]
    kept, funnel = run(pairs, only(drop_leaked=True), held_out)
    assert kept == pairs[1:]
    assert funnel.dropped == {"leaked": 1}
    assert run(pairs, OFF, held_out)[0] == pairs


def test_a_pair_that_nearly_stands_in_dev_or_test_is_dropped_but_not_its_halves() -> None:
    held_out = HeldOut.of([("Take 2 steps.", "Nimm zwei!"), ("1 + 1", "1 + 1")])
    dropped = [("take steps", "NIMM ZWEI"), ("Take 2 steps.", "Nimm zwei!"), ("1 + 1", "1 + 1")]
    kept = [("Take 2 steps.", "1 + 1"), ("Taken 2 steps.", "Nimm zwei!"), ("1 + 2", "1 + 2")]
    assert run(dropped + kept, only(drop_leaked_near=True), held_out)[0] == kept


def test_a_pair_with_a_side_that_stands_on_that_side_of_dev_or_test_is_dropped() -> None:
    held_out = HeldOut.of([("One", "Eins")])
    pairs = [("one!", "a"), ("a", "eins."), ("Eins", "One"), ("a", "b")]
    assert run(pairs, only(drop_leaked_sides=True), held_out)[0] == pairs[2:]


def test_without_dev_and_test_nothing_leaks() -> None:
    config = only(drop_leaked=True, drop_leaked_near=True, drop_leaked_sides=True)
    assert run([("a", "b")], config)[1].dropped == {"leaked": 0, "leaked_near": 0, "leaked_sides": 0}


def test_the_filters_of_duplicates_are_named_in_the_order_of_the_recipe() -> None:
    assert duplicate_filters(OFF) == []
    assert duplicate_filters(CleaningConfig()) == ["duplicates"]
    fields = [name.removeprefix("drop_") for name in CleaningConfig.model_fields]
    assert [name for name in fields if name in DUPLICATES] == list(DUPLICATES)
    assert duplicate_filters(only(**{f"drop_{name}": True for name in DUPLICATES})) == list(DUPLICATES)
