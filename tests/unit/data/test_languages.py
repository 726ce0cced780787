import pytest

from nmt.data.languages import primary_subtag, script_of, scripts_of, share_of_script


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
