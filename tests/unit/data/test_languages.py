import pytest

from nmt.data.languages import (
    are_variants,
    best_match,
    best_pair,
    is_backward,
    is_widely_written,
    language_named,
    places_of_pair,
    primary_subtag,
    same_code,
    same_language,
    script_codes,
    script_of,
    scripts_of,
    share_of_script,
    standard_code,
    unknown_code,
)


@pytest.mark.parametrize(
    ("code", "expected"), [("en", "en"), ("zh-TW", "zh"), ("en_US", "en"), ("SR-Latn", "sr"), ("ukr_Cyrl", "ukr")]
)
def test_the_primary_subtag_names_the_language(code: str, expected: str) -> None:
    assert primary_subtag(code) == expected


@pytest.mark.parametrize(
    ("code", "script"),
    [
        ("de", "LATIN"),
        ("ru", "CYRILLIC"),
        ("sr", "CYRILLIC"),
        ("sr-Latn", "LATIN"),
        ("uz-Cyrl-UZ", "CYRILLIC"),
        ("ukr_Cyrl", "CYRILLIC"),
        ("fa-IR", "ARABIC"),
        ("he", "HEBREW"),
        ("hi", "DEVANAGARI"),
        ("am", "ETHIOPIC"),
        ("tlh", "LATIN"),
        ("en-TH", "LATIN"),
        ("zh-Latn-pinyin", "LATIN"),
        ("pi-Thai", "THAI"),
    ],
)
def test_a_language_has_its_script_or_the_one_that_its_code_names(code: str, script: str) -> None:
    assert scripts_of(code) == {script}


@pytest.mark.parametrize(("code", "scripts"), [("ja", {"HIRAGANA", "KATAKANA", "CJK"}), ("ko-KR", {"HANGUL", "CJK"})])
def test_a_language_may_have_several_scripts(code: str, scripts: set[str]) -> None:
    assert scripts_of(code) >= scripts
    assert "LATIN" not in scripts_of(code)


@pytest.mark.parametrize(
    ("code", "standard"),
    [
        ("zho_Hans", "zh"), ("zh_CN.UTF-8", "zh"), ("cmn", "zh"), ("zh-classical", "zh"), ("yue", "yue"),
        ("iw_IL", "he"), ("nob", "no"), ("nb-NO", "no"), ("nno", "nn"), ("arb_Arab", "ar"), ("arz", "arz"),
        ("ger", "de"), ("tgl", "fil"), ("in", "id"), ("sr@latin", "sr"), ("pes", "fa"), ("kmr", "ku"), ("XX", "xx"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_code_has_one_standard_code(code: str, standard: str) -> None:
    assert standard_code(code) == standard


@pytest.mark.parametrize(
    ("pair", "same"),
    [
        ("en eng", True), ("en eng_Latn", True), ("iw he", True), ("zh cmn", True), ("zh-CN zh_cn", True),
        ("pt pt-BR", False), ("no nb", False), ("sr sr-Latn", False), ("sr sr-Cyrl", True), ("en de", False),
        ("xx XX", True), ("xx yy", False), ("en xx", False),
    ],
)  # fmt: skip
def test_spellings_of_one_code_are_told_from_variants(pair: str, same: bool) -> None:
    one, other = pair.split()
    assert same_code(one, other) == same_code(other, one) == same


SAME = "no nb|iw he|zh cmn|zh zh-TW|zho_Hans zh_CN|pt pt-BR|sr srp_Latn|fil tl|id in|eng eng_Latn|fre fr|ar arb|no nob"
OTHER = "nb nn|zh yue|zh-CN zh-TW|pt-PT pt-BR|sr-Latn sr-Cyrl|sr hr|bs hr|ar arz|az azb|de gsw|en english|xx yy|da no"


@pytest.mark.parametrize("pair", SAME.split("|"))
def test_codes_of_one_language_are_the_same_in_either_order(pair: str) -> None:
    one, other = pair.split()
    assert same_language(one, other)
    assert same_language(other, one)


@pytest.mark.parametrize("pair", OTHER.split("|"))
def test_codes_of_two_languages_or_of_two_variants_differ_in_either_order(pair: str) -> None:
    one, other = pair.split()
    assert not same_language(one, other)
    assert not same_language(other, one)


def test_a_code_that_nobody_knows_is_the_same_as_itself_in_any_case() -> None:
    assert same_language("a_B", "A-b")
    assert not same_language("a_B", "a")


@pytest.mark.parametrize(
    ("code", "candidates", "best"),
    [
        ("pt", ["pt-BR", "pt"], "pt"),
        ("pt-BR", ["pt", "pt-br"], "pt-br"),
        ("pt", ["pt-PT", "pt-BR"], "pt-BR"),
        ("pt-BR", ["pt-PT", "pt"], "pt"),
        ("zh", ["zh-TW", "zh-CN"], "zh-CN"),
        ("zh-Hant", ["zh-CN", "zh-TW"], "zh-TW"),
        ("no", ["nn", "nb"], "nb"),
        ("no", ["nb", "no"], "no"),
        ("en", ["de", "fr"], None),
        ("en", [], None),
    ],
)
def test_the_same_code_is_the_best_match_and_else_the_nearest(
    code: str, candidates: list[str], best: str | None
) -> None:
    assert best_match(code, candidates) == best


@pytest.mark.parametrize(
    ("source", "target", "candidates", "pair"),
    [
        ("en", "de", ["deu", "eng"], ("eng", "deu")),
        ("zh-CN", "zh-TW", ["zh", "zh-TW"], ("zh", "zh-TW")),
        ("zh-TW", "zh-CN", ["zh-TW", "zh"], ("zh-TW", "zh")),
        ("pt", "pt-BR", ["pt-BR", "pt-PT"], ("pt-PT", "pt-BR")),
        ("pt-BR", "pt", ["pt-BR", "pt_BR"], None),
        ("zh-CN", "zh-TW", ["zh"], None),
        ("en", "de", ["en", "fr"], None),
    ],
)
def test_two_languages_have_a_candidate_each(
    source: str, target: str, candidates: list[str], pair: tuple[str, str] | None
) -> None:
    assert best_pair(source, target, candidates) == pair
    places = places_of_pair(source, target, candidates)
    assert (places and tuple(candidates[place] for place in places)) == pair


@pytest.mark.parametrize(
    ("given", "wanted", "backward"),
    [
        (("en", "de"), ("en", "de"), False),
        (("deu", "eng_Latn"), ("en", "de"), True),
        (("", "de"), ("en", "de"), False),
        (("", "en"), ("en", "de"), True),
        (("", ""), ("en", "de"), False),
        (("en", "fr"), ("en", "de"), None),
        (("pt-PT", "pt-BR"), ("pt", "pt-BR"), False),
        (("pt-BR", "pt-PT"), ("pt", "pt-BR"), True),
    ],
)
def test_a_direction_is_the_wanted_one_or_its_opposite_or_of_other_languages(
    given: tuple[str, str], wanted: tuple[str, str], backward: bool | None
) -> None:
    assert is_backward(given, wanted) is backward


@pytest.mark.parametrize("pair", ["zh yue", "hr bs", "sr hr", "no nn", "nb da", "de lb", "id ms", "ar arz", "uz uzs"])
def test_variants_are_read_for_each_other(pair: str) -> None:
    one, other = pair.split()
    assert are_variants(one, other)
    assert are_variants(other, one)


@pytest.mark.parametrize("pair", ["en de", "no sv", "es pt", "en pcm", "ca es", "ru uk", "zh ja", "am en", "xx yy"])
def test_other_languages_are_no_variants(pair: str) -> None:
    one, other = pair.split()
    assert not are_variants(one, other)
    assert not are_variants(other, one)


def test_widely_written_languages_are_known_by_every_code() -> None:
    assert all(map(is_widely_written, ["en", "deu", "nb", "no", "iw", "tl", "zh-TW", "yue"]))
    assert not any(map(is_widely_written, ["la", "pcm", "zxx", "und", "lb", "xx"]))


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("en", None), ("eng_Latn", None), ("nb-NO", None), ("x-mine", None), ("qaa", None), ("zh-classical", None),
        ("english", "en"), ("Deutsch", "de"), ("portugese", "pt"), ("germn", "de"), ("engl", "en"), ("jp", "ja"),
        ("cz", "cs"), ("xx", "xh"), ("1", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_code_that_exists_nowhere_has_a_nearest_one(code: str, nearest: str | None) -> None:
    assert unknown_code(code) == nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("German", "de"), ("norwegian bokmål", "nb"), ("日本語", "ja"), ("Persisch", "fa"), ("farsi", "fa"),
        ("Chinese (Traditional)", "zh-Hant"), ("id", None), ("en", None), ("sentence", None), ("person", None),
        ("index", None), ("remarks", None), ("polishing", None),
    ],
)  # fmt: skip
def test_languages_have_names_in_words_but_no_short_ones_or_parts_of_words(name: str, code: str | None) -> None:
    assert language_named(name) == code


FORMER_LATIN = {
    "CYRILLIC": "ady kbd lez alt kum inh rue abq evn nog rus_Cyrl ukr bul srp",
    "ARABIC": "prs lrc acm ajp pbt azb az-IR pa-PK uzs urd",
    "DEVANAGARI": "raj bgc hin npi gom",
    "YI": "ii iii",
    "TIBETAN": "bod dzo lbj",
    "MYANMAR": "mya ksw blk",
    "CJK": "zho cmn hak wuu lzh yue_Hant hsn",
    "LATIN": "eng deu tlh lus dik cjk arb_Latn sr-Latn",
}


@pytest.mark.parametrize("script", FORMER_LATIN)
def test_small_languages_and_codes_of_three_letters_have_their_script(script: str) -> None:
    assert {code: script in scripts_of(code) for code in FORMER_LATIN[script].split()} == dict.fromkeys(
        FORMER_LATIN[script].split(), True
    )
    assert all("LATIN" not in scripts_of(code) for code in FORMER_LATIN[script].split() if script != "LATIN")


def test_a_language_whose_text_has_two_scripts_has_both() -> None:
    assert scripts_of("nan") >= {"CJK", "LATIN"}
    assert scripts_of("lad") == {"HEBREW", "LATIN"}


def test_the_script_of_an_unknown_language_is_not_known_and_every_text_is_in_it() -> None:
    assert [script_codes(code) for code in ("xx", "und", "zxx", "mul", "x-mine", "qaa")] == [()] * 6
    assert scripts_of("qaa") == frozenset()
    assert share_of_script("Это IBM", frozenset()) == 1


TABLE = {
    "CYRILLIC": "ab av ba be bg bua ce cv kk krc kv ky mdf mhr mk mn mrj myv os ru sah sr tg tt tyv udm uk xal x-Cyrl",
    "ARABIC": "ar arz ary azb bal ckb fa glk ks mzn pnb ps sd skr ug ur x-Arab",
    "HEBREW": "he iw yi x-Hebr",
    "DEVANAGARI": "awa bh bho brx doi gom hi hne mai mag mr ne new sa x-Deva",
    "BENGALI": "as bn bpy mni x-Beng",
    "TIBETAN": "bo dz x-Tibt",
    "MYANMAR": "ksw mnw my shn x-Mymr",
    "ETHIOPIC": "am gez ti tig x-Ethi",
    "GREEK": "el grc pnt x-Grek",
    "CANADIAN": "cr iu x-Cans",
    "BOPOMOFO CJK IDEOGRAPHIC": "gan hak lzh wuu yue zh x-Hans x-Hant x-Hani",
    "CJK HIRAGANA IDEOGRAPHIC KATAKANA KATAKANA-HIRAGANA": "ja x-Jpan",
    "CJK HANGUL": "ko x-Kore x-Hang",
    "MONGOLIAN": "x-Mong",
}


@pytest.mark.parametrize("scripts", TABLE)
def test_each_language_of_the_table_has_its_scripts(scripts: str) -> None:
    for code in TABLE[scripts].split():
        assert sorted(scripts_of(code)) == scripts.split()


def test_every_script_that_a_language_may_have_is_one_that_letters_have() -> None:
    samples = "AßжαאبकবਪગଓதతಕമසދབမกລកაհአⲁܐⵜᎠᐁߊᱚ中々ㄅひカー한ꯀᠮ"
    found = {script_of(letter) for letter in samples}
    codes = (
        "de ru el he ar hi bn pa gu or ta te kn ml si dv bo my th lo km ka hy am cop syr zgh chr iu nqo sat zh ja ko "
        "mni-Mtei mn-Mong"
    )
    assert set().union(*map(scripts_of, codes.split())) == found


@pytest.mark.parametrize(
    ("letter", "script"),
    [("Ａ", "LATIN"), ("ｱ", "KATAKANA"), ("ª", "LATIN"), ("ʼ", "MODIFIER"), ("\U000e0100", "VARIATION")],
)
def test_forms_of_a_letter_are_of_the_script_of_the_letter(letter: str, script: str) -> None:
    assert script_of(letter) == script


def test_a_share_counts_letters_alone() -> None:
    russian = scripts_of("ru")
    assert share_of_script("Это IBM, 1 234 + 5!", russian) == 0.5
    assert share_of_script("1 234 + 5 ʼ!", russian) == share_of_script("", russian) == 1
    assert share_of_script("plain", scripts_of("en")) == share_of_script("für", scripts_of("de")) == 1
