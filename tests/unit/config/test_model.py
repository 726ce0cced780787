"""The section [model]: presets, and keys that must agree."""

from typing import Any

import pytest
from sections import finding

from nmt.config.model import PRESETS, STACKS, ModelConfig


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("base", (512, 2048, 8, 6, 6, 0.1)),
        ("big", (1024, 4096, 16, 6, 6, 0.3)),
        ("small", (256, 1024, 4, 3, 3, 0.1)),
        ("tiny", (128, 512, 4, 2, 2, 0.1)),
    ],
)
def test_a_preset_is_a_shape(preset: str, shape: tuple[float, ...]) -> None:
    model = ModelConfig.model_validate({"preset": preset})
    fields = ("d_model", "ffn", "heads", "encoder_layers", "decoder_layers", "dropout")
    assert tuple(getattr(model, field) for field in fields) == shape
    assert model.preset == preset


def test_every_preset_is_tested() -> None:
    assert PRESETS.keys() == {"base", "big", "small", "tiny"}


def test_a_given_key_wins_over_the_preset_wherever_it_stands() -> None:
    for values in ({"preset": "big", "dropout": 0.2, "heads": 8}, {"heads": 8, "dropout": 0.2, "preset": "big"}):
        model = ModelConfig.model_validate(values)
        assert (model.d_model, model.ffn, model.heads, model.dropout) == (1024, 4096, 8, 0.2)


def test_a_preset_does_not_change_the_table_of_presets() -> None:
    before = {name: dict(values) for name, values in PRESETS.items()}
    ModelConfig.model_validate({"preset": "tiny", "d_model": 64})
    assert before == PRESETS


def test_the_width_of_heads_is_their_share_of_the_model_unless_it_is_given() -> None:
    assert ModelConfig(d_model=16, heads=4).width_of_heads == 4
    assert ModelConfig(d_model=16, heads=3, head_width=7).width_of_heads == 7
    assert ModelConfig.model_validate({"d_model": 16, "heads": 4, "head_width": "none"}).head_width is None


def test_a_family_has_its_own_stacks_and_no_other() -> None:
    for family, stacks in STACKS.items():
        for values in ({}, {"preset": "tiny"}, dict.fromkeys(stacks, 3)):
            model = ModelConfig.model_validate({"architecture": family, **values})
            layers = {"tiny": 2}.get(str(values.get("preset")), 3 if values and "preset" not in values else 6)
            assert model.stacks == dict.fromkeys(stacks, layers)
            assert model.encoder_layers + model.decoder_layers == layers * len(stacks)
            assert ModelConfig.model_validate(model.model_dump()) == model


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder_layers": 0}, 'decoder_layers = 0: architecture = "encoder-decoder" needs 1 or more'),
        (
            {"architecture": "prefix-lm", "encoder_layers": 2},
            'encoder_layers = 2: architecture = "prefix-lm" needs 0, or left out',
        ),
        (
            {"architecture": "encoder-only", "encoder_layers": 0},
            'encoder_layers = 0: architecture = "encoder-only" needs 1 or more',
        ),
    ],
)
def test_layers_of_a_stack_that_a_family_has_not_or_lacks(values: dict[str, Any], message: str) -> None:
    assert message in finding(ModelConfig, **values)[1]


@pytest.mark.parametrize("width", [0, 2**16 + 1])
def test_the_width_of_heads_has_bounds(width: int) -> None:
    assert finding(ModelConfig, head_width=width)[0] == "head_width"
    ModelConfig(head_width=min(max(width, 1), 2**16))


def test_a_window_is_off_by_default_and_as_long_as_the_longest_sentence_at_most() -> None:
    assert ModelConfig().attention_window is None
    assert ModelConfig.model_validate({"attention_window": "none"}).attention_window is None
    assert ModelConfig(attention_window=32, max_length=32).attention_window == 32
    assert ModelConfig(attention_window=1, architecture="encoder-only", decoder_layers=0).attention_window == 1
    assert finding(ModelConfig, attention_window=0)[0] == "attention_window"


def test_positions_are_shifted_by_no_more_than_the_longest_sentence_and_by_default_not_at_all() -> None:
    assert ModelConfig().position_offset == 0
    assert ModelConfig(position_offset=32, max_length=32, positions="learned").position_offset == 32
    assert ModelConfig(architecture="decoder-only", encoder_layers=0, positions="none").positions == "none"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d_model": 10, "heads": 4}, "heads = 4 must divide d_model = 10, or set head_width"),
        (
            {"d_model": 9, "heads": 3},
            "d_model = 9 must be even: positions are pairs of sine and cosine",
        ),
        (
            {"d_model": 12, "heads": 4, "positions": "rotary"},
            "heads have width 3, which rotary positions need even: set head_width",
        ),
        (
            {"attention_window": 33, "max_length": 32},
            "attention_window = 33 must be at most max_length = 32; without it every position sees all",
        ),
        (
            {"attention_window": 8, "architecture": "decoder-only"},
            'architecture = "decoder-only" has no attention_window: its target would not see the source',
        ),
        (
            {"positions": "none"},
            'positions = "none": architecture = "encoder-decoder" would not know the order of the source; a '
            '"decoder-only" model does',
        ),
        (
            {"positions": "none", "architecture": "prefix-lm"},
            'positions = "none": architecture = "prefix-lm" would not know the order of the source; a "decoder-only" '
            "model does",
        ),
        (
            {"positions": "rotary", "position_offset": 1},
            'position_offset = 1: positions = "rotary" is the same wherever a sequence starts: leave it out',
        ),
        (
            {"positions": "none", "position_offset": 8, "architecture": "decoder-only"},
            'position_offset = 8: positions = "none" is the same wherever a sequence starts: leave it out',
        ),
        (
            {"position_offset": 33, "max_length": 32},
            "position_offset = 33 must be at most max_length = 32",
        ),
        (
            {"attention_window": 8, "architecture": "prefix-lm"},
            'architecture = "prefix-lm" has no attention_window: its target would not see the source',
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    assert finding(ModelConfig, **values) == ("", f"Value error, {message}")
