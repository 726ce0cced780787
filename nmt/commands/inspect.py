"""The commands `inspect`: how a model translates a line, and the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.model_options import OF_MODEL, Model, check_device, load_translator
from nmt.commands.options import OptionsOf, check_picture, command
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import AttentionConfig, InferenceConfig
from nmt.config.languages import LanguagesConfig
from nmt.files import Json, replacing

if TYPE_CHECKING:
    from nmt.inference.observed import Observed

app = new_app("Show how a model translates a line, and what it is made of.")
Text = Annotated[str, typer.Argument(metavar="TEXT", help="A line in the source language.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Shown = Annotated[AttentionConfig, OptionsOf("Attention")]
SETTINGS = tuple(name for name in DecodingConfig.model_fields if name != "batch_tokens")  # one line is one batch
Search = Annotated[DecodingConfig, OptionsOf("Search", only=SETTINGS, default=OF_MODEL)]
OF_MODEL_AND_DEVICE = ("to", "from_", "tags", "protect", "device", "threads")
Inference = Annotated[InferenceConfig, OptionsOf("Model and device", only=OF_MODEL_AND_DEVICE)]
LABELS = {
    "source_piece": "to encode a source piece",
    "source_pair": "more for each source position that it attends to",
    "target_piece": "to predict a target piece for one hypothesis",
    "target_pair": "more for each target position of all hypotheses so far",
    "cross_pair": "more for each source position",
    "weights": "file of the weights",
    "bundle": "all files of the bundle",
    "memory": "weights in memory, prepared for a CPU",
}
"""The names of facts about a model, where the keys of JSON are too short."""


@command(app, 'nmt inspect attention runs/demo/model "The old woman sees a dog." -o attention.png', "attention")
def inspect_attention(
    model: Model,
    text: Text,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="An .svg or a .png; by default attention.png."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all weights as one JSON object; draw nothing without -o.")
    ] = False,
    shown: Shown,
    search: Search,
    inference: Inference,
) -> None:
    """Draw the attention of MODEL while it translates TEXT: a map for each layer and head.

    Each row of a map belongs to a piece of the translation, when it is predicted, and its colours are the weights of
    the source pieces, or the shares of their norms. The alignment of words is that of `nmt translate --alignment`.
    """
    path = Path("attention.png") if output is None and not as_json else output
    if path is not None:
        check_picture(path)
    is_alignment = shown.kind == "alignment"
    seen = observed(model, text, search, inference, shown.layer if is_alignment else None)
    if path is not None:
        form: Literal["png", "svg"] = "svg" if path.suffix.lower() == ".svg" else "png"
        picture = seen.picture(shown, form)
        if form == "png" and (missing := seen.without_font(shown.kind)):
            console.warn(f"drawn as boxes, as no font here has them: {missing} (install one, or write an .svg)")
        if not is_alignment and len(seen.segments) > 1:
            console.warn(f"the picture shows the first of {len(seen.segments)} segments")
        with replacing(path) as scratch:
            scratch.write_bytes(picture)
        console.log(f"inspect: drawn to {path}")
    if as_json:
        console.json_out(seen.attention_json(shown))
    else:
        console.out(seen.best.text)


@command(app, 'nmt inspect search runs/demo/model "The old woman sees a dog." --beam-size 2', "search")
def inspect_search(model: Model, text: Text, *, as_json: AsJson = False, search: Search, inference: Inference) -> None:
    """Show the search of MODEL for a translation of TEXT: the candidates of each step, and what became of them.

    kept: goes on. finished: ends, and is one of the best that ended. dropped: neither. A score is the log-probability
    over the length penalty, and the translation is the finished hypothesis of the best score.
    """
    seen = observed(model, text, search, inference)
    if as_json:
        console.json_out(seen.search_json())
        return
    for number, segment in enumerate(seen.search_json()["segments"], start=1):
        source = " ".join(segment["source"])
        console.heading(f"segment {number}: {source}" if len(seen.segments) > 1 else source)
        rows = [
            [
                str(step) if rank == 1 else "",
                str(rank),
                one["fate"],
                f"{one['log_probability']:.3f}",
                f"{one['total']:.3f}",
                "" if one["score"] is None else f"{one['score']:.3f}",
                " ".join(one["pieces"]),
            ]
            for step, candidates in enumerate(segment["steps"], start=1)
            for rank, one in enumerate(candidates, start=1)
        ]
        console.table(["step", "rank", "fate", "log-prob", "total", "score", "hypothesis"], rows)
    console.out(seen.best.text)


@command(app, "nmt inspect model runs/demo/model", "model")
def inspect_model(model: Model, *, as_json: AsJson = False) -> None:
    """Show what MODEL is made of: layers, parameters, operations, sizes, settings, languages, training."""
    from nmt.experiments.model_facts import facts  # imports torch

    found = facts(model)
    if as_json:
        console.json_out(found)
        return
    console.heading(f"{model}: {found['name']}, {LanguagesConfig(**found['languages']).title}, by nmt {found['nmt']}")
    for title, values in found.items():
        if isinstance(values, dict) and title != "languages":
            console.out("")
            console.table(
                [title, ""], [[LABELS.get(str(key), str(key)), written(value)] for key, value in values.items()]
            )


def written(value: Json) -> str:
    """Write a fact about a model for people."""
    match value:
        case None | [] | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{LABELS.get(key, key)} {written(one)}" for key, one in value.items())
        case list():
            return ", ".join(map(written, value))
    return str(value)


def observed(
    model: Path, text: str, search: DecodingConfig, inference: InferenceConfig, layer: int | None = None
) -> Observed:
    """Translate `text`, and say what is to be said of it."""
    from nmt.inference.observed import observe  # imports torch

    check_device(inference)
    seen = observe(load_translator([model], search, inference), text, layer=layer)
    for warning in seen.warnings:
        console.warn(warning)
    return seen
