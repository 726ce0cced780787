"""Trees as pieces, and from pieces back to trees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.encoding.trees import SymbolCounter, TreePieces, TreeSymbols
from nmt.tasks.trees import read_tree

UNKNOWN = 1
PIECES = TreePieces(TreeSymbols(("NP", "S"), ("DT", "NN")), 4, UNKNOWN)
NP, S, CLOSE, DT, NN = range(4, 9)
CAT = "(S (NP (DT the) (NN cat)))"


def encode(words: list[str]) -> list[list[int]]:
    """Return one id a character, so that a word may have none."""
    return [[100 + ord(char) for char in word if char != "0"] for word in words]


def decode(rows: list[list[int]]) -> list[str]:
    return ["".join("?" if index == UNKNOWN else chr(index - 100) for index in row) for row in rows]


def spelled(text: str) -> list[int]:
    [ids] = encode([text])
    return ids


def test_brackets_and_tags_are_pieces_among_those_of_words() -> None:
    [ids] = PIECES.encode([CAT], encode)
    assert ids == [*spelled("the"), S, NP, DT, *spelled("cat"), NN, CLOSE, CLOSE]
    assert PIECES.decode([ids], decode) == [CAT]
    assert PIECES.symbols.pieces == ["<(NP>", "<(S>", "<)>", "<DT/>", "<NN/>"]
    assert [*PIECES.opening, PIECES.close, *PIECES.tags] == [*range(4, 9)]
    assert PIECES.last == NN


@pytest.mark.parametrize(
    ("text", "ids", "back"),
    [
        ("(VP (NN a))", [*spelled("a"), UNKNOWN, NN, CLOSE], "(NN a?))"),
        ("(S (NN a) (VB b))", [*spelled("a"), S, NN, *spelled("b"), UNKNOWN, CLOSE], "(S (NN a)) b?"),
        ("(S (NN 0))", [UNKNOWN, S, NN, CLOSE], "(S (NN ?))"),
        ("(S (NN a)", [*spelled("a"), S, NN], "(S (NN a)"),
        ("a b)", [*spelled("ab"), CLOSE], ") ab"),
        ("(S (NN))", [S, UNKNOWN, CLOSE, CLOSE], "(S)) ?"),
        ("", [], ""),
    ],
)
def test_what_has_no_piece_is_unknown_and_what_is_no_tree_has_its_parts(text: str, ids: list[int], back: str) -> None:
    assert PIECES.encode([text, CAT], encode)[0] == ids
    assert PIECES.decode([ids, []], decode) == [back, ""]


def test_ids_that_are_no_tree_have_the_text_of_their_parts() -> None:
    assert PIECES.decode([[CLOSE, NN, *spelled("a"), S, NN, S], [DT, CLOSE]], decode) == [
        ") (NN) (S (NN a) (S",
        "(DT))",
    ]


def test_a_tag_has_its_word_after_one_space() -> None:
    assert PIECES.decode([[UNKNOWN, NN], [UNKNOWN, UNKNOWN, DT]], lambda _: [" ? ", " "]) == ["(NN ?)", "(DT)"]


def test_words_of_the_source_are_as_in_a_tree() -> None:
    assert PIECES.words(" f(x)\ta  0", encode) == [spelled("f-LRB-x-RRB-"), spelled("a"), [UNKNOWN]]
    assert PIECES.words("\1 a\2 \ufffe", encode) == [spelled("a")]
    assert PIECES.decode([[*spelled("f(x)"), NN]], decode) == ["(NN f-LRB-x-RRB-)"]


def test_symbols_are_counted_as_trees_pass_by() -> None:
    counter = SymbolCounter()
    lines = [CAT, "(S (VB go) x", "(A (NP (NN a)))"]
    assert list(counter.words(lines)) == ["the cat", "go x", "a"]
    assert counter.symbols == TreeSymbols(("A", "NP", "S"), ("DT", "NN", "VB"))


leaves = st.tuples(st.sampled_from(["DT", "NN"]), st.text("ab-.", min_size=1)).map(
    lambda pair: f"({pair[0]} {pair[1]})"
)
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from(["NP", "S"]), st.lists(inner, min_size=1, max_size=3)).map(
        lambda pair: f"({pair[0]} {' '.join(pair[1])})"
    ),
)


@given(st.lists(trees, max_size=3))
def test_every_tree_comes_back(lines: list[str]) -> None:
    rows = PIECES.encode(lines, encode)
    assert PIECES.decode(rows, decode) == lines
    assert [len([i for i in row if i in PIECES.tags]) for row in rows] == [len(read_tree(t).words()) for t in lines]
