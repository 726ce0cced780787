"""The commands `data`: parallel text to inspect, to clean, and to make."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import Columns, OptionsOf, SkipBad, Workers, check_picture, command, option_name
from nmt.config.data import CleaningConfig, Format
from nmt.config.section import LARGEST
from nmt.config.tasks import TaskConfig
from nmt.config.toml import check_overridden, knobs, override_key
from nmt.data.cleaning.filters import filter_names
from nmt.data.cleaning.funnel import IdsCounts, TextCounts, percent, steps_of
from nmt.data.reading.corpus import STDIN
from nmt.data.reading.formats import ENDINGS
from nmt.data.reading.named_files import named_corpus, shortened
from nmt.errors import ArtifactError, UsageError
from nmt.files import JsonObject, read_record, replacing
from nmt.locks import holding_output
from nmt.pipeline.manifest import MANIFEST
from nmt.run_folder import RunFolder
from nmt.tasks import algorithmic, grammar

SHOWN = 100  # characters shown of each side of an example
app = new_app("Inspect parallel text, clean it, make some.")
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES",
        help=f"Two files, line by line translations, such as train.en train.de; or files of both sides: {ENDINGS}, "
        "folders and archives of such, or - for standard input.",
    ),
]
SourceLanguage = Annotated[
    str | None, typer.Option(metavar="CODE", help="Source language; by default from the names of the files.")
]
TargetLanguage = Annotated[
    str | None, typer.Option(metavar="CODE", help="Target language; by default from the names of the files.")
]
FormatName = Annotated[
    Format | None, typer.Option("--format", help="Format of FILES of both sides; by default from their names.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@command(app, "nmt data inspect train.en train.de")
def inspect(
    files: Files,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Number of pairs to inspect, from the first; by default all.")
    ] = None,
    form: FormatName = None,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Inspect parallel text: lengths, words, characters, duplicates, pairs that each filter would drop, and examples.

    Each filter is counted alone, switched on if it is off by default; those that matter are printed as a [cleaning]
    section for a recipe. Files are read once, as a stream.
    """
    from nmt.advice.inspection import inspect_text, show  # start-up time

    text = named_corpus(files, source_language, target_language, form, columns, pairs, skip_bad=skip_bad)
    report = {"files": files, **inspect_text(text, console.stdin() if STDIN in files else None)}
    if as_json:
        console.json_out(report)
    else:
        show(report)


@command(app, "nmt data clean train.en train.de -o clean --set cleaning.max_ratio=3")
def clean(
    files: Files,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="NAME",
            help="Write NAME.SOURCE and NAME.TARGET, or one file where NAME ends in .tsv; compressed if it ends in "
            ".gz, .xz, .zst or .bz2.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of [cleaning], such as cleaning.max_ratio=3."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="Held-out text whose pairs are not to be in the output; see FILES."),
    ] = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    form: FormatName = None,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Normalise and filter parallel text as a recipe does, write the pairs that stay, and count those dropped.

    With -v, examples of dropped pairs are shown. `nmt data filters` lists the settings.
    """
    from nmt.data.cleaning.clean_files import CORPUS, clean_files  # start-up time

    text = named_corpus(files, source_language, target_language, form, columns, skip_bad=skip_bad)
    languages = text.languages
    held_out = named_corpus(against, languages.source, languages.target) if against else None
    config, stdin = cleaning_of(overrides or []), console.stdin() if STDIN in files else None
    paths, counts = clean_files(text, held_out, output, config, workers=workers, stdin=stdin)
    names = [str(path) for path in paths]
    if as_json:
        console.json_out(
            {
                "files": files,
                "written": names,
                "languages": languages.model_dump(exclude_defaults=True),
                **counts.to_json(),
            }
        )
        return
    for name, count in counts.anomalies[CORPUS].items():
        console.log(f"clean: found in the text: {name} {count:,}")
    show_funnel(counts, None)
    console.log(f"clean: wrote {counts.pairs:,} pairs to {' and '.join(names)}")


@command(app, "nmt data filters")
def filters() -> None:
    """List the settings of [cleaning]: name in reports, key in a recipe, default and meaning."""
    found = {knob.key: knob for knob in knobs(CleaningConfig)}
    rows = [[name, key, found[key].default, found[key].text] for name, key in filter_names().items()]
    console.table(["name", "key", "default", "what it does"], rows)


@command(app, "nmt data funnel runs/demo -o funnel.svg")
def funnel(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, whose text is prepared.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Draw it: an .svg or a .png.")
    ] = None,
) -> None:
    """Show, or draw, how many pairs of each corpus of RUN each filter dropped, with examples."""
    if output is not None:
        check_picture(output)
    text, ids = counts_of(run)
    if output is None:
        show_funnel(text, ids, examples=True)
    else:
        from nmt.data.cleaning.plotting import draw_funnel  # loads Matplotlib, which only a picture needs

        draw_funnel(text, ids, output)
        console.log(f"funnel: drawn to {output}")


@command(app, "nmt data added runs/mine --kind typos")
def added(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, whose text is prepared.")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Print the pairs of this kind alone, a key of [augmentation].")
    ] = None,
) -> None:
    """Print the pairs that [augmentation] added to the training text of RUN: kind, source and target, with tabs."""
    from nmt.data.augmenting.corpus_augmentation import read_added  # start-up time

    RunFolder(run).check()
    folder = RunFolder(run).augmentation
    counts = (read_record(folder / MANIFEST, counts=dict) or {}).get("counts")
    if counts is None:
        hint = "a recipe asks for some by the rates of [augmentation]"
        raise ArtifactError(f"{run}: no pairs were added to its training text", hint=hint)
    kinds = list(dict.fromkeys(name for corpus in counts["corpora"].values() for name in corpus))
    if kind is not None and kind not in kinds:
        raise UsageError(f"--kind {kind}: none of this run's kinds, {', '.join(kinds)}")
    for name, pair in read_added(folder):
        if kind in (None, name):
            console.out("\t".join([name, *(side.replace("\t", " ") for side in pair)]))


@command(app, "nmt data synthesize folder --task reverse --split train --pairs 200", "synthesize")
def data_synthesize(
    folder: Annotated[
        Path, typer.Argument(help="Where to write SPLIT.en and SPLIT.de, or of a task SPLIT.src and SPLIT.tgt.")
    ],
    split: Annotated[
        Literal["train", "dev", "test", "unseen"], typer.Option(help="Split to draw; `unseen` is of the grammar alone.")
    ] = "train",
    pairs: Annotated[int, typer.Option(min=1, max=LARGEST, help="Number of pairs.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the draw.")] = 1,
    *,
    task: Annotated[TaskConfig, OptionsOf("Task")],
) -> None:
    """Write pairs of the built-in English-German grammar as two files, line by line translations, or of a task.

    The splits of the grammar share no source. Those of a task are drawn apart, and may share short examples.
    """
    if task.task is None:
        if given := sorted(task.model_fields_set):
            raise UsageError(f"{option_name(TaskConfig, given[0])} is a parameter of tasks", hint="add --task")
        names, drawn = ("en", "de"), grammar.generate(split, pairs, seed)
    elif split == "unseen":
        raise UsageError("--split unseen: a task has the splits train, dev and test")
    else:
        names, drawn = ("src", "tgt"), algorithmic.generate(task, split, pairs, seed)
    source, target = (folder / f"{split}.{name}" for name in names)
    with (
        holding_output(folder / split),
        replacing(source) as left,
        replacing(target) as right,
        left.open("wb") as sources,
        right.open("wb") as targets,
    ):
        for one, other in drawn:
            sources.write(one.encode() + b"\n")
            targets.write(other.encode() + b"\n")
    console.log(f"wrote {pairs:,} pairs to {source} and {target}")


def cleaning_of(overrides: list[str]) -> CleaningConfig:
    """Return [cleaning] with `overrides`, such as `cleaning.max_ratio=3`. Raises UsageError, and RecipeError."""
    tree: JsonObject = {}
    for override in overrides:
        override_key(tree, override)
    for key in tree:
        if key != "cleaning":
            raise UsageError(f"--set {key}: only [cleaning] can be set here", hint="such as --set cleaning.max_ratio=3")
    section = tree.get("cleaning")
    for key in ("max_piece_ratio", "max_pieces"):
        if isinstance(section, dict) and key in section:
            raise UsageError(f"--set cleaning.{key}: this takes a tokenizer", hint="nmt prepare drops such pairs")
    # The smallest recipe, so that messages name keys as in a recipe.
    recipe = {"name": "clean", "languages": {"source": "en", "target": "de"}, "data": {"train": {"files": "text.tsv"}}}
    return check_overridden(recipe, overrides, "--set").cleaning


def counts_of(run: Path) -> tuple[TextCounts, IdsCounts | None]:
    """Read the counts of the text and ids stages of a run; None for ids not yet made. Raises ArtifactError."""
    folder = RunFolder(run)
    text, ids = (read_record(path / MANIFEST, "counts") for path in (folder.text, folder.ids))
    try:
        return TextCounts.from_json((text or {})["counts"]), IdsCounts.from_json(ids["counts"]) if ids else None
    except (KeyError, TypeError):
        raise ArtifactError(f"{run}: no prepared text in it", hint="nmt prepare RECIPE makes it") from None


def show_funnel(text: TextCounts, ids: IdsCounts | None, *, examples: bool = False) -> None:
    """Print the pairs that each filter dropped, in total and by corpus; `examples`, or -v, show some."""
    names = list(text.train) if len(text.train) > 1 else []
    steps, rows = steps_of(text, ids), []
    for step in steps:
        of_corpora = [f"{step.corpora[name]:,}" if step.corpora else "" for name in names]
        rows.append([step.name, f"{step.pairs:,}", percent(step.pairs, text.funnel.read), *of_corpora])
    console.table(["", "pairs", "share", *names], rows)
    for name, count in text.funnel.mended.items():
        if count:
            console.out(f"normalised: {name} {count:,} sides")
    samples = {**text.funnel.samples, **(ids.funnel.samples if ids else {})}
    for step in steps if examples or console.VERBOSE else ():
        for source, target in samples.get(step.name, ()):
            console.out(f"  {step.name}: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")
