"""Numbers, names, addresses and placeholders that a translation keeps."""

import pytest

from nmt.evaluation.survival import ItemKind, Languages, Survival, count_survivors, numbers_in

EN_DE = ("en", "de")


def survive(source: str, hypothesis: str, reference: str, languages: Languages = EN_DE) -> dict[ItemKind, Survival]:
    return count_survivors([source], [hypothesis], [[reference]], languages)


def kept(kind: ItemKind, source: str, hypothesis: str, reference: str | None = None) -> tuple[int, int]:
    """Return how many items of `source` the hypothesis keeps, of how many that the reference keeps."""
    found = survive(source, hypothesis, source if reference is None else reference)[kind]
    return found["kept"], found["in_reference"]


def values(text: str, decimal_mark: str | None) -> list[str]:
    return [number.value for number in numbers_in(text, decimal_mark)]


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("7 cats, 1,234 dogs and 0.50", ["7", "1234", "0.5"], ["7", "1.234", "0", "50"]),
        ("1.234.567,80", ["1", "234", "567", "80"], ["1234567.8"]),
        ("12,34,567 rupees", ["1234567"], ["1234567"]),
        ("10\u202f000, 10\u00a0000.5, 10'000 and 10\u2019000", ["10000", "10000.5", "10000", "10000"], None),
        ("10 000 at 12.39", ["10", "0", "12.39"], ["10000", "12", "39"]),
        ("2024 100 and 5 1000", ["2024", "100", "5", "1000"], ["2024", "100", "5", "1000"]),
        ("\u0661\u0662\u066b\u0665 and \uff12\uff10", ["12.5", "20"], ["12.5", "20"]),
        ("route 0042, 3.0", ["42", "3"], ["42", "3", "0"]),
        ("at 12:39 on 3-4/5", ["12", "39", "3", "4", "5"], ["12", "39", "3", "4", "5"]),
        ("COVID-19 and B2B", ["19", "2"], ["19", "2"]),
        ("1,23,4", ["1", "23", "4"], ["1", "23", "4"]),
        ("none", [], []),
    ],
)
def test_a_number_is_read_as_its_language_writes_it(text: str, point: list[str], comma: list[str] | None) -> None:
    assert values(text, ".") == point
    assert comma is None or values(text, ",") == comma


def test_a_number_in_an_unknown_language_is_grouped_unless_it_cannot_be() -> None:
    assert values("1,500 and 1.500 and 2.5 and 2,25 and 1.234,5", None) == ["1500", "1500", "2.5", "2.25", "1234.5"]


@pytest.mark.parametrize(
    ("source", "hypothesis", "counts"),
    [
        ("It cost 1,500.50 in 1999.", "Es kostete 1999 dann 1.500,50.", (2, 2)),
        ("It cost 1,500.", "Es kostete 1500.", (1, 1)),
        ("It cost 1,500.", "Es kostete 1,500.", (0, 1)),  # which is 1.5 in German
        ("Version 14.5 of 3", "Version 14.5 von 3", (2, 2)),
        ("Version 14.5", "Version 14", (0, 1)),
        ("Version 14.5 and 14.5", "Version 14.5", (1, 2)),
        ("Versions 1.2.3 and 1.2.3", "Version 1.2.3", (3, 6)),
        ("1000 and 1000.0", "1000", (1, 2)),
        ("at 12:39", "um 12.39 Uhr", (2, 2)),
        ("5 and 5", "5 und 6", (1, 2)),
        ("5 and 5", "5, 5 und 5", (2, 2)),
        ("line 12", "Zeile 120", (0, 1)),
        ("see http://a.example/5 and 7", "siehe http://a.example/5 und 8", (0, 1)),
    ],
)
def test_a_number_survives_by_its_value(source: str, hypothesis: str, counts: tuple[int, int]) -> None:
    reference = {"It cost 1,500.50 in 1999.": "1.500,50 und 1999", "It cost 1,500.": "1.500"}
    assert kept("numbers", source, hypothesis, reference.get(source, source)) == counts


def test_a_number_that_the_reference_lacks_is_not_expected() -> None:
    found = survive("2 dogs and 30 cats", "2 Hunde", "Zwei Hunde und 30 Katzen")["numbers"]
    assert found == Survival(source=2, in_reference=1, in_hypothesis=1, kept=0, share=0.0, lines=[1])


@pytest.mark.parametrize(
    ("source", "hypothesis", "counts"),
    [
        ("Today Anna met Bertil in Oslo.", "Heute traf Anna in Oslo Bert.", (2, 3)),
        ("Anna and Bertil", "Bertil", (1, 1)),  # the first word has a capital anyway
        ("Go. Anna said: Bertil, go!", "Geh", (0, 0)),
        ("NATO met at NASA", "Die Nato traf die NASA", (2, 2)),
        ("all of NATO", "alle nato", (0, 1)),
        ("my iPhone and I", "mein Telefon und I", (0, 1)),
        ("with Ann", "mit Anns", (1, 1)),
        ("with Ann", "mit Annika", (0, 1)),
        ("a Frisbee", "eine Frisbeescheibe", (1, 1)),
        ("in Bobby and Anna", "in Bobbycars und Annabell", (1, 2)),
        ("with Ann and Ann", "mit Ann", (1, 2)),
        ("at www.Ann.example", "bei", (0, 0)),
    ],
)
def test_a_name_survives_as_a_word(source: str, hypothesis: str, counts: tuple[int, int]) -> None:
    assert kept("names", source, hypothesis) == counts


def test_a_word_in_capitals_is_a_name_only_where_the_reference_has_it() -> None:
    found = survive("We saw Big Ben", "Wir sahen Ben", "Wir sahen Big Ben")["names"]
    assert (found["source"], found["in_reference"], found["kept"], found["share"]) == (2, 2, 1, 0.5)
    found = survive("We saw a Dog", "Wir sahen ihn", "Wir sahen einen Hund")["names"]
    assert (found["source"], found["in_reference"], found["share"], found["lines"]) == (1, 0, None, [])


@pytest.mark.parametrize(
    ("source", "hypothesis", "counts"),
    [
        ("See https://a.example/x?y=1.", "Siehe https://a.example/x?y=1!", (1, 1)),
        ("See https://a.example/x", "Siehe https://a.example/", (0, 1)),
        ("www.a.example or me.you@a.example", "www.a.example oder me@a.example", (1, 2)),
        ("\u8bf7\u8054\u7cfbme@a.example", "me@a.example", (1, 1)),
        ("an @ alone, a://b", "nichts", (0, 0)),
    ],
)
def test_an_address_survives_letter_for_letter(source: str, hypothesis: str, counts: tuple[int, int]) -> None:
    assert kept("addresses", source, hypothesis) == counts


@pytest.mark.parametrize(
    ("source", "hypothesis", "counts"),
    [
        ("<b>Hi</b> {name}", "{name} <b>Hallo</b>", (3, 3)),
        ("%s of {0} and {0}", "{0} von", (1, 3)),
        ("\u27e60\u27e7 and %1$s", "\u27e61\u27e7 und %1$s", (1, 2)),
        ("order #NUMBER# of #PRS_ORG#, #tag#", "Auftrag #NUMMER# von #PRS_ORG#", (1, 2)),
        ("5 < 6 and 7 > 3, 100%", "nichts", (0, 0)),
    ],
)
def test_a_placeholder_survives_letter_for_letter(source: str, hypothesis: str, counts: tuple[int, int]) -> None:
    assert kept("placeholders", source, hypothesis) == counts
    assert kept("numbers", "{0} %1$s <a1>", "") == (0, 0)


def test_lines_add_up_and_every_reference_must_keep_an_item() -> None:
    sources, hypotheses = ["1 and 2", "3", "none"], ["1", "4", "4"]
    references = [["1 und 2", "drei", "keine"], ["eins und 2", "3", "keine 4"]]
    found = count_survivors(sources, hypotheses, references, EN_DE)["numbers"]
    assert found == Survival(source=3, in_reference=1, in_hypothesis=1, kept=0, share=0.0, lines=[1])
    found = count_survivors(sources, ["2", "", ""], [["1 und 2", "3", ""]], (None, None))["numbers"]
    assert found == Survival(source=3, in_reference=3, in_hypothesis=1, kept=1, share=1 / 3, lines=[1, 2])


def test_a_long_line_takes_no_time() -> None:
    line = "\u8bf7" * 50_000 + "a" * 50_000 + "@" + "1" * 50_000 + "<" * 1000
    assert survive(line, line, line)["numbers"]["kept"] == 1
