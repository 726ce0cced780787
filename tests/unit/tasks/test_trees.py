from collections import Counter

import pytest

from nmt.errors import DataError
from nmt.tasks.trees import Span, Tree, plain_label, read_tree, read_trees

CAT = "(S (NP (DT the) (NN cat)) (VP (VBD sat)) (. .))"


def simplified(text: str) -> tuple[str, dict[str, int]]:
    found = Counter[str]()
    return str(read_tree(text).simplified(found)), dict(found)


def test_a_tree_is_read_and_written() -> None:
    tree = read_tree(CAT)
    assert tree == Tree(
        "S",
        (
            Tree("NP", (Tree("DT", word="the"), Tree("NN", word="cat"))),
            Tree("VP", (Tree("VBD", word="sat"),)),
            Tree(".", word="."),
        ),
    )
    assert str(tree) == CAT
    assert repr(tree) == f"read_tree({CAT!r})"


def test_white_space_does_not_matter() -> None:
    assert str(read_tree("\n( (S\n\t(NP(DT the)\n (NN  cat ) ) ) )\n")) == "( (S (NP (DT the) (NN cat))))"


def test_words_tags_and_spans() -> None:
    tree = read_tree("(S (NP (DT the) (NN cat)) (VP (VBD sat) (ADVP (RB down))) (. .))")
    assert tree.words() == ["the", "cat", "sat", "down", "."]
    assert tree.preterminals() == [("DT", "the"), ("NN", "cat"), ("VBD", "sat"), ("RB", "down"), (".", ".")]
    assert tree.spans() == [Span("S", 0, 5), Span("NP", 0, 2), Span("VP", 2, 4), Span("ADVP", 3, 4)]
    assert read_tree("(NN cat)").spans() == []


def test_trees_are_equal_by_what_they_spell() -> None:
    assert len({read_tree(CAT), read_tree(CAT.replace(" (", "(")), read_tree(CAT.replace("cat", "dog"))}) == 2
    assert read_tree(CAT) != CAT


def test_a_tree_has_children_or_a_word() -> None:
    for children, word in [((), None), ((Tree("NN", word="cat"),), "cat")]:
        with pytest.raises(ValueError, match="NP: a tree has children or a word"):
            Tree("NP", children, word)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no bracket in it"),
        (" \t", "no bracket in it"),
        ("(S (NP (NN cat))", "it does not close: 1 open at its end, the last is '(S' at character 1"),
        ("(S (NP (NN cat", "it does not close: 3 open at its end, the last is '(NN' at character 8"),
        ("(S (NN cat)))", "it closes more often than it opens, at character 13"),
        (") (S (NN cat))", "it closes more often than it opens, at character 1"),
        ("(S (NN cat)) (S (NN dog))", "2 trees, where one should be"),
        ("(S (NN cat)) and more", "'and' is in no bracket, at character 14"),
        ("the cat", "'the' is in no bracket, at character 1"),
        ("(S (NN cat) ((NN dog)))", "a bracket without a label at character 13"),
        ("( cat)", "'cat' has no tag, in '(' at character 1"),
        ("(S (NP the (NN cat)))", "'the' has no tag: it stands beside brackets, in '(NP' at character 4"),
        ("(S (NN (DT the) cat))", "'cat' has no tag: it stands beside brackets, in '(NN' at character 4"),
        ("(S (NN the black cat))", "3 words under one tag, in '(NN' at character 4"),
        ("(S (NN cat) (NP))", "nothing in '(NP' at character 13"),
        ("()", "nothing in '(' at character 1"),
        ("(NN c\x07t)", "a control character, U+0007, at character 6"),
        ("(NN c\ufefft)", "a control character, U+FEFF, at character 6"),
        (f"(S {'x' * 21} (NN cat))", f"'{'x' * 20}…' has no tag: it stands beside brackets, in '(S' at character 1"),
    ],
)
def test_what_is_no_tree_is_said(text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_tree(text)
    assert str(caught.value) == said


def test_several_trees_are_read() -> None:
    assert read_trees("(A (B c)) (D e)") == [read_tree("(A (B c))"), read_tree("(D e)")]
    assert read_trees("") == []


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("NP", "NP"),
        ("NP-SBJ", "NP"),
        ("NP-SBJ-1", "NP"),
        ("NP=2", "NP"),
        ("PP-LOC=1", "PP"),
        ("S-NOM", "S"),
        ("ADVP|PRT", "ADVP|PRT"),
        ("-LRB-", "-LRB-"),
        ("-NONE-", "-NONE-"),
        ("=", "="),
        ("", ""),
    ],
)
def test_function_tags_and_indices_are_no_part_of_a_label(label: str, plain: str) -> None:
    assert plain_label(label) == plain


@pytest.mark.parametrize(
    ("text", "simple", "found"),
    [
        (CAT, CAT, {}),
        (f"(ROOT {CAT})", CAT, {"outermost brackets": 1}),
        (f"( (S1 {CAT}))", CAT, {"outermost brackets": 2}),
        (
            "(S (NP-SBJ-1 (NN cat)) (PRN=2 (-LRB- -LRB-)))",
            "(S (NP (NN cat)) (PRN (-LRB- -LRB-)))",
            {"function tags": 2},
        ),
        ("(S (NN-X a-b) (A-B c=d))", "(S (NN-X a-b) (A-B c=d))", {}),
        (
            "(S (NP (-NONE- *)) (VP (VB go) (SBAR (-NONE- 0) (S (-NONE- *T*-1)))))",
            "(S (VP (VB go)))",
            {"empty elements": 3},
        ),
        ("(NP (NP-SBJ (NN cat)) (-NONE- *))", "(NP (NP (NN cat)))", {"empty elements": 1, "function tags": 1}),
        ("(ROOT (NP (NN cat)) (. .))", "(TOP (NP (NN cat)) (. .))", {}),
        ("(ROOT (NN cat))", "(TOP (NN cat))", {}),
        ("( (NN cat))", "(TOP (NN cat))", {}),
        ("(NN cat)", "(TOP (NN cat))", {}),
        ("(ROOT (S (VB go)) (-NONE- *))", "(S (VB go))", {"empty elements": 1, "outermost brackets": 1}),
        ("(S (ROOT (VB go)))", "(S (ROOT (VB go)))", {}),
        ("(ROOT (S (-NONE- *)))", "None", {"empty elements": 1}),
        ("(-NONE- *)", "None", {"empty elements": 1}),
    ],
)
def test_a_tree_is_simplified_and_what_goes_is_counted(text: str, simple: str, found: dict[str, int]) -> None:
    assert simplified(text) == (simple, found)


def test_a_tree_may_be_deeper_than_python_recurses() -> None:
    text = "(S " * 20_000 + "(NP-SBJ (NN cat))" + ")" * 20_000
    tree = read_tree(text)
    assert str(tree) == text
    assert tree == read_tree(text)
    assert hash(tree) == hash(read_tree(text))
    assert tree.spans()[-1] == Span("NP-SBJ", 0, 1)
    assert str(tree.simplified()) == text.replace("-SBJ", "")
