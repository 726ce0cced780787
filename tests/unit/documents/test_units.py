"""Units: the line for the model, the places of tags in it, and what is no part of a unit."""

from nmt.documents.units import Item, Kind, Node, Part, Unit, parts_of, text

OPEN, CLOSE = Item(Kind.OPEN, "<b>"), Item(Kind.CLOSE, "</b>")
POINT, CODE = Item(Kind.POINT, "<img>"), Item(Kind.ATOM, "<code>f</code>", "f")


def only(items: list[Item]) -> tuple[str, Unit, str]:
    """Return the only unit of `items`, and what stands before and after it."""
    parts = parts_of(items, str)
    (at,) = [index for index, part in enumerate(parts) if isinstance(part, Unit)]
    unit = parts[at]
    assert isinstance(unit, Unit)
    return "".join(map(str, parts[:at])), unit, "".join(map(str, parts[at + 1 :]))


def kept(items: list[Item]) -> list[Part]:
    return [part for part in parts_of(items, str) if part]


def test_white_space_is_one_space_and_none_at_the_edges() -> None:
    before, unit, after = only([text(" \n a\t\n b "), text("\u00a0c \n")])
    assert (before, unit.layout(), after) == (" \n ", ("a b \u00a0c", []), " \n")
    assert unit.is_plain


def test_tags_have_places_in_the_line() -> None:
    _, unit, _ = only([text("a "), OPEN, text("b "), CODE, CLOSE, text(" c "), POINT, text(" d")])
    line, nodes = unit.layout()
    assert line == "a b f c d"
    assert nodes == [
        Node(Kind.OPEN, "<b>", 2, 5, -1, "</b>", (True, True)),
        Node(Kind.ATOM, CODE.raw, 4, 5, 0, "", (True, True)),
        Node(Kind.POINT, "<img>", 8, 8, -1, "", (True, True)),
    ]
    assert not unit.is_plain


def test_a_point_says_on_which_side_it_has_space() -> None:
    for items, spaced in (
        ([text("a"), POINT, text("b")], (False, False)),
        ([text("a "), POINT, text("b")], (True, False)),
        ([text("a"), POINT, text(" b")], (False, True)),
        ([text("a "), POINT, POINT, text(" b")], (True, True)),
    ):
        _, nodes = only(items)[1].layout()
        assert {node.spaced for node in nodes} == {spaced}


def test_what_spans_or_precedes_everything_is_peeled_off() -> None:
    items = [POINT, text(" "), OPEN, OPEN, text(" a b"), CLOSE, text(" "), CLOSE, POINT]
    before, unit, after = only(items)
    assert (before, unit.layout()[0], after) == ("<img> <b><b> ", "a b", "</b> </b><img>")
    assert unit.is_plain
    before, unit, after = only([OPEN, text("a"), CLOSE, text(" b "), OPEN, text("c"), CLOSE])
    assert (before, after, len(unit.items)) == ("", "", 7)


def test_code_at_the_edge_belongs_to_the_sentence() -> None:
    assert only([CODE, text(" works.")])[1].layout()[0] == "f works."


def test_a_span_around_nothing_is_a_point() -> None:
    _, unit, _ = only([text("a "), OPEN, POINT, CLOSE, text("b"), OPEN, text(" "), CLOSE, text("c")])
    line, nodes = unit.layout()
    assert line == "a b c"
    assert [(node.kind, node.raw) for node in nodes] == [(Kind.POINT, "<b><img></b>"), (Kind.POINT, "<b> </b>")]


def test_text_without_a_letter_is_no_unit() -> None:
    for raw in ("12 345.6", "\u2014", " ", "_", "https://x.org/a", "me@x.org"):
        assert kept([text(raw)]) == [raw]
    assert kept([OPEN, text("1 "), CODE, CLOSE]) == ["<b>1 <code>f</code></b>"]


def test_addresses_and_variables_are_atoms() -> None:
    _, unit, _ = only([text("See https://x.org/?a=1&amp;b or %(n)s.", "See https://x.org/?a=1&b or %(n)s.")])
    assert [(item.text, item.kind is Kind.ATOM) for item in unit.items] == [
        ("See ", False),
        ("https://x.org/?a=1&b", True),
        (" or ", False),
        ("%(n)s", True),
        (".", False),
    ]


def test_marks_between_the_items_of_a_menu_divide_it() -> None:
    parts = kept(
        [OPEN, text("Home"), CLOSE, text(" | "), OPEN, text("News"), CLOSE, text(" \u2022 "), OPEN, text("x"), CLOSE]
    )
    assert [part.layout()[0] for part in parts if isinstance(part, Unit)] == ["Home", "News", "x"]
    assert [part for part in parts if isinstance(part, str)] == [
        "<b>",
        "</b>",
        " | ",
        "<b>",
        "</b>",
        " \u2022 ",
        "<b>",
        "</b>",
    ]


def test_the_white_space_of_a_line_is_part_of_it() -> None:
    assert Unit([text(" a  b ")], str, is_line=True).layout() == (" a  b ", [])


def test_the_end_of_a_span_may_be_written_in_another_way_around_a_translation() -> None:
    assert [Item(Kind.CLOSE, "]").tag, Item(Kind.CLOSE, "]", "][x]").tag, text("a", "b").tag] == ["]", "][x]", "a"]
