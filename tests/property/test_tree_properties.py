"""Bracketed trees: reading is the inverse of writing, and simplifying changes neither words nor brackets."""

from hypothesis import given
from hypothesis import strategies as st

from nmt.tasks.trees import EMPTY, Tree, read_tree

words = st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="()"), min_size=1, max_size=5)
tags = st.sampled_from(["DT", "NN", ".", ",", "-LRB-", EMPTY, "PRP$"])
labels = st.sampled_from(["S", "NP", "NP-SBJ-1", "PP=2", "ADVP", "PRT", "TOP", "ROOT"])
leaves = st.builds(lambda tag, word: Tree(tag, word=word), tags, words)
trees = st.recursive(
    leaves, lambda below: st.builds(Tree, labels, st.lists(below, min_size=1, max_size=4).map(tuple)), max_leaves=20
)


@given(trees)
def test_a_tree_is_read_as_it_was_written(tree: Tree) -> None:
    assert read_tree(str(tree)) == tree


@given(trees)
def test_a_simplified_tree_has_the_words_that_are_none_of_empty_elements(tree: Tree) -> None:
    kept = [(tag, word) for tag, word in tree.preterminals() if tag != EMPTY]
    simple = tree.simplified()
    assert (simple.preterminals() if simple else []) == kept
    if simple:
        assert simple.children
        assert simple.simplified() == simple
        assert all("-" not in span.label and span.start < span.end for span in simple.spans())


@given(trees)
def test_brackets_nest(tree: Tree) -> None:
    spans = tree.spans()
    for at, outer in enumerate(spans):
        assert all(
            inner.end <= outer.end or inner.start >= outer.end for inner in spans[at:] if inner.start >= outer.start
        )
