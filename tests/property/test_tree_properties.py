"""Bracketed trees: reading is the inverse of writing, simplifying keeps the words, and brackets match themselves."""

from hypothesis import given
from hypothesis import strategies as st

from nmt.evaluation.brackets import BracketCounts, Brackets, count_brackets
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


def counts(reference: Tree, hypothesis: Tree) -> BracketCounts:
    return count_brackets(str(hypothesis), Brackets.of(reference))


@given(trees)
def test_a_tree_matches_itself_and_its_simplified_form_matches_it(tree: Tree) -> None:
    found = counts(tree, tree)
    if found.scored:
        assert found.matched == found.found == found.wanted
        assert found == counts(tree, tree.simplified() or tree)
        assert (found.complete, found.crossing, found.words) == (1, 0, found.correct_tags)
    else:
        assert found.skipped


@given(trees, st.data())
def test_precision_of_one_side_is_recall_of_the_other(tree: Tree, data: st.DataObject) -> None:
    leaves = [Tree(tag, word=word) for tag, word in tree.preterminals()]
    while len(leaves) > 1:
        start = data.draw(st.integers(0, len(leaves) - 1))
        end = data.draw(st.integers(start + 1, len(leaves)))
        leaves[start:end] = [Tree(data.draw(labels), tuple(leaves[start:end]))]
        if end - start == 1 and len(leaves) > 1:
            leaves = [Tree("S", tuple(leaves))]
    one, other = counts(tree, leaves[0]), counts(leaves[0], tree)
    assert (one.matched, one.found, one.wanted) == (other.matched, other.wanted, other.found)
    assert (one.scored, one.skipped, one.correct_tags) == (other.scored, other.skipped, other.correct_tags)
    assert one.matched <= min(one.found, one.wanted)
    assert one.strict_matched == one.matched
