from nmt.data.pairs import is_blank


def test_a_line_is_blank_where_nothing_of_it_shows() -> None:
    assert all(map(is_blank, ["", "  ", "\t\u00a0\u3000\u2003", "\u200b\u200d\ufeff\u00ad", "\x00\x1f"]))
    assert not any(map(is_blank, ["a", " . ", "\u200b\u4e2d", "\u0301"]))
