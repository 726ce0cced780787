"""Tables are as wide as their content; the live lines are tested in test_console.py, on a terminal."""

from nmt.terminal import draw_table


def test_a_table_has_a_header_and_no_markup() -> None:
    assert draw_table(["name", "what"], [["a", "[bold]x[/bold]"], ["longer", "1,000"]], 80).split("\n") == [
        "name    what",
        "a       [bold]x[/bold]",
        "longer  1,000",
    ]


def test_a_table_is_no_wider_than_asked() -> None:
    drawn = draw_table(["name", "what"], [["a", "word " * 20]], 30)
    assert max(map(len, drawn.split("\n"))) <= 30
    assert " ".join(drawn.split()).count("word") == 20
