"""The variants of a sweep: the values of a grid, the tables of a recipe, and their names."""

from typing import Any

import pytest

from nmt.config.toml import load_recipe, recipe_names
from nmt.errors import NmtError, RecipeError, UsageError
from nmt.experiments.variants import Variant, make_variants, split_values

TABLES: dict[str, Any] = {
    "A": {"model": {"heads": 1, "head_width": 32}},
    "D": {"model": {"dropout": 0.0}, "training": {"average": "best"}},
}


def names(*overrides: str, tables: dict[str, Any] | None = None) -> list[str]:
    return [variant.name for variant in make_variants(tables or {}, overrides)[1]]


@pytest.mark.parametrize(
    ("text", "values"),
    {
        "4": ["4"],
        "1, 4,8": ["1", "4", "8"],
        '["a", "b"]': ['["a", "b"]'],
        '["a", "b"],["c"]': ['["a", "b"]', '["c"]'],
        "{x = 1, y = [2, 3]},{}": ["{x = 1, y = [2, 3]}", "{}"],
        '"a,b",c': ['"a,b"', "c"],
        '"a\\",b",c': ['"a\\",b"', "c"],
        "'a,\"b',c": ["'a,\"b'", "c"],
        "it's,so": ["it's", "so"],
        "a],b": ["a]", "b"],
        "": [""],
    }.items(),
)
def test_values_are_split_at_commas_outside_of_lists_tables_and_strings(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_a_grid_is_the_product_of_the_keys_with_several_values_and_the_others_hold_for_all() -> None:
    common, variants = make_variants({}, ["model.heads=1,4", "training.max_steps=9", "model.ffn=8,16"])
    assert common == ["training.max_steps=9"]
    assert variants == [
        Variant(f"heads={heads},ffn={ffn}", (f"model.heads={heads}", f"model.ffn={ffn}"))
        for heads in (1, 4)
        for ffn in (8, 16)
    ]


def test_without_variants_there_is_the_base_alone() -> None:
    assert make_variants({}, []) == ([], [Variant("base", ())])


def test_the_tables_of_the_recipe_are_variants_beside_the_base_times_the_grid() -> None:
    _, variants = make_variants(TABLES, [])
    assert variants == [
        Variant("base", ()),
        Variant("A", ("model.heads=1", "model.head_width=32")),
        Variant("D", ("model.dropout=0.0", 'training.average="best"')),
    ]
    assert names("model.ffn=8,16", tables=TABLES) == [
        f"{name},ffn={ffn}" for name in ("base", "A", "D") for ffn in (8, 16)
    ]
    chosen = make_variants(TABLES, ["model.ffn=8,16"], ["A", "A"])[1]
    assert chosen[1] == Variant("A,ffn=16", ("model.heads=1", "model.head_width=32", "model.ffn=16"))
    assert [variant.name for variant in chosen] == ["A,ffn=8", "A,ffn=16"]


def test_a_key_is_named_in_full_where_another_one_ends_alike() -> None:
    assert names("data.train.a.weight=1,2", "data.train.b.weight=3,4", "model.ffn=8,9")[0] == (
        "data.train.a.weight=1,data.train.b.weight=3,ffn=8"
    )


def test_folders_have_plain_names_that_differ_where_the_variants_do() -> None:
    assert Variant("A,heads=1,rate=1e-3", ()).folder == "A,heads=1,rate=1e-3"
    odd = [Variant(name, ()).folder for name in ("a=[1]", "a={1}", "x" * 101, "x" * 102)]
    assert odd[0].startswith("a=_1_-")
    assert len(set(odd)) == 4
    assert max(map(len, odd)) <= 109


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).recipe.sweep])
def test_the_variants_of_recipes_that_are_shipped_are_recipes_too(name: str) -> None:
    base = load_recipe(name).recipe
    variants = make_variants(base.sweep, [])[1]
    recipes = {variant.name: load_recipe(name, variant.overrides).recipe for variant in variants}
    assert len({recipe.model_copy(update={"sweep": {}}).model_dump_json() for recipe in recipes.values()}) == len(
        recipes
    )
    for variant, recipe in recipes.items():
        inner = recipe.model.heads * recipe.model.width_of_heads
        assert (inner == base.model.d_model) == (variant[0] != "B" and recipe.model.d_model == base.model.d_model)


@pytest.mark.parametrize(
    ("tables", "overrides", "chosen", "kind", "message"),
    [
        ({}, ["model.heads=1,,4"], [], RecipeError, "--set model.heads=1,,4: an empty value among several"),
        ({}, ["model.heads=1,4,1"], [], RecipeError, "--set model.heads=1,4,1: the value 1 occurs twice"),
        ({}, ["model.ffn=1,4", "model.ffn=2"], [], RecipeError, "--set model.ffn=1,4: model.ffn is given twice"),
        (
            {}, ["training.seed=1,2"], [], RecipeError,
            "--set training.seed=1,2: the seeds of a sweep are given by --seeds",
        ),
        ({"A": {}}, [], [], RecipeError, "sweep.A: changes no key (give it one, or take it out)"),
        (
            {"base": {"model": {"heads": 1}}}, [], [], RecipeError,
            "sweep.base: the recipe without changes has this name (take another name)",
        ),
        (
            TABLES, [], ["AA"], UsageError,
            "--variant AA: no such variant (did you mean 'A'?) (it has base, A, D)",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sweep_is_one_line(
    tables: dict[str, Any], overrides: list[str], chosen: list[str], kind: type[NmtError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        make_variants(tables, overrides, chosen)
    assert str(caught.value) == message
