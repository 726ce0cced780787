"""The fields of a study: quick values, --set, and what cannot be."""

import pytest
from toy_study import Toy, ToyConfig

from nmt.errors import RecipeError
from nmt.studies.base import configure, described


def test_fields_have_defaults_quick_values_and_overrides_in_this_order() -> None:
    assert configure(Toy(), [], is_quick=False, seed=None) == ToyConfig(limits=[3, 5, 8], seed=1)
    assert configure(Toy(), [], is_quick=True, seed=7) == ToyConfig(limits=[2, 3], seed=7)
    assert configure(Toy(), ["limits=[4]", "word=a, b", "seed=2"], is_quick=True, seed=None) == ToyConfig(
        limits=[4], word="a, b", seed=2
    )
    assert ToyConfig.quick == {"limits": [2, 3]}


@pytest.mark.parametrize(
    ("written", "limits"), [("9,10", [9, 10]), ("9", [9]), ("[9, 10]", [9, 10]), (" 9 , 10 ", [9, 10])]
)
def test_a_list_may_be_written_with_commas(written: str, limits: list[int]) -> None:
    assert configure(Toy(), [f"limits={written}"], is_quick=False, seed=None).limits == limits


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("limit=3", "--set limit=3: unknown key limit (did you mean 'limits'?)"),
        ("zzz=3", "--set zzz=3: unknown key zzz"),
        ("limits", "--set limits: not of the form key=value"),
        ("limits=3,x", "--set limits=3,x: limits.1 = 'x': must be a valid integer"),
        ("limits=3,3", "--set limits=3,3: limits: 3 is there twice"),
        ("limits=[]", "--set limits=[]: limits: the list is empty"),
        ("limits.x=3", "--set limits.x=3: limits = {'x': 3}: must be a valid list"),
        ("limits.x.y=3", "--set limits.x.y=3: limits = {'x': {'y': 3}}: must be a valid list"),
        ("seed=-1", "--set seed=-1: seed = -1: must be greater than or equal to 0"),
    ],
)
def test_an_override_that_cannot_be_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        configure(Toy(), [override], is_quick=False, seed=None)
    assert str(caught.value) == message


def test_each_field_is_described_with_its_default_and_its_quick_value() -> None:
    assert described(Toy())[1:] == [
        "limits (list of int) = [3, 5, 8], quick [2, 3]: The last number of each sum.",
        'word (str) = "none": A word.',
    ]
