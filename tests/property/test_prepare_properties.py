"""What holds for every text: nothing is lost in silence, and neither shards nor corpora change what is left."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from nmt import files
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning import corpus_text
from nmt.data.cleaning.corpus_text import TextPlan, iterate_text, write_text
from nmt.data.cleaning.filters import DUPLICATES, clean
from nmt.data.cleaning.funnel import Funnel as Counts
from nmt.data.cleaning.keys import HeldOut
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
SIDES = st.text("abAB .1", max_size=4)
CORPORA = st.lists(
    st.tuples(
        st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=12),
        st.sets(st.sampled_from(list(DUPLICATES))),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)

Pairs = list[tuple[str, str]]


def prepare(
    home: Path, corpora: list[tuple[Pairs, set[str], bool]], held: Pairs, shard: int
) -> tuple[dict[str, Any], TextPlan] | None:
    """Write the text of `corpora`; None where nothing is left of it."""
    train = {}
    for number, (pairs, filters, drops_leaked) in enumerate([*corpora, (held, set(), False)]):
        for side, end in enumerate(("en", "de")):
            lines = "".join(pair[side] + "\n" for pair in pairs)
            (home / f"{number}.{end}").write_text(lines, encoding="utf-8", newline="\n")
        cleaning = {f"drop_{name}": name in filters for name in DUPLICATES} | {"drop_leaked": drops_leaked}
        train[str(number)] = {"source": f"{number}.en", "target": f"{number}.de", "cleaning": cleaning}
    dev = train.pop(str(len(corpora)))
    del dev["cleaning"]
    data = DataConfig.model_validate({"train": train, "dev": dev, "test": {"t": dev}})
    plan = TextPlan(data, CleaningConfig(), EN_DE, home, local=False)
    try:
        with (
            patch.object(corpus_text, "SHARD", shard),
            patch.object(files, "sync"),
        ):  # which would take most of the time
            return write_text(plan, home / f"text-{shard}", workers=1).to_json(), plan
    except DataError as error:
        if "no training pair is left" in str(error):
            return None
        raise


def plain(plan: TextPlan, corpora: list[tuple[Pairs, set[str], bool]], held: Pairs) -> list[Pairs]:
    """Clean each corpus by itself, and look for duplicates by one filter after the other, pair by pair."""
    rows = []
    for number, (pairs, _, _) in enumerate(corpora):
        kept = clean(pairs, plan.cleaning_of(str(number)), EN_DE, held_out=HeldOut.of(held), funnel=Counts())
        rows += [(number, pair) for pair in kept]
    for name, key in DUPLICATES.items():
        seen: set[int] = set()
        left = []
        for number, pair in rows:
            if key(*pair) not in seen or name not in corpora[number][1]:
                left.append((number, pair))
            seen.add(key(*pair))
        rows = left if any(name in filters for _, filters, _ in corpora) else rows
    return [[pair for of, pair in rows if of == number] for number in range(len(corpora))]


@settings(deadline=None, max_examples=40)
@given(CORPORA, st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4), st.sampled_from([1, 2, 5, 50]))
def test_the_text_is_what_a_plain_loop_leaves_and_every_pair_is_accounted_for(
    corpora: list[tuple[Pairs, set[str], bool]], held: Pairs, shard: int
) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        made = prepare(home, corpora, held, shard)
        if made is None:
            return
        counts, plan = made
        expected = plain(plan, corpora, held)
        out = home / f"text-{shard}"
        assert list(iterate_text(out, "train")) == [pair for pairs in expected for pair in pairs]
        assert list(iterate_text(out, "dev")) == list(iterate_text(out, "test.t")) == held
        for number, (pairs, _, _) in enumerate(corpora):
            found = counts["corpora"][str(number)]
            assert found["pairs"] == found["funnel"]["kept"] == len(expected[number])
            assert found["funnel"]["read"] == len(pairs) == found["pairs"] + sum(found["funnel"]["dropped"].values())
        total = Counter[str]()
        for found in counts["corpora"].values():
            total.update(found["funnel"]["dropped"])
        assert total == Counter(counts["funnel"]["dropped"])
        assert counts["pairs"]["train"] == sum(map(len, expected))


@settings(deadline=None, max_examples=20)
@given(CORPORA, st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4))
def test_the_size_of_the_shards_changes_neither_text_nor_counts(
    corpora: list[tuple[Pairs, set[str], bool]], held: Pairs
) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        made = [prepare(home, corpora, held, shard) for shard in (2, 3, 50)]
        assert all(each is None for each in made) or all(each is not None for each in made)
        if made[0] is not None:
            assert [each[0] for each in made if each] == [made[0][0]] * 3
            texts = [list(iterate_text(home / f"text-{shard}", "train")) for shard in (2, 3, 50)]
            assert texts[0] == texts[1] == texts[2]
