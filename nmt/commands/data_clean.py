"""The work of the commands `data clean`, `data filters` and `data funnel`."""

from collections.abc import Sequence
from pathlib import Path

from nmt import console
from nmt.config.data import CleaningConfig
from nmt.config.toml import check_overridden, knobs, override_key
from nmt.data.cleaning.clean_files import CORPUS, clean_files
from nmt.data.cleaning.funnel import PICTURES, IdsCounts, TextCounts, percent, steps_of
from nmt.data.cleaning.statistics import filter_names
from nmt.data.reading.corpus import STDIN
from nmt.data.reading.formats import Format
from nmt.data.reading.named_files import named_corpus, shortened
from nmt.errors import ArtifactError, UsageError
from nmt.files import JsonObject, read_record
from nmt.pipeline.manifest import MANIFEST
from nmt.run_folder import RunFolder

SHOWN = 100
"""Characters shown of each side of an example."""


def clean(
    files: list[str],
    output: Path,
    overrides: list[str] | None,
    against: list[str] | None,
    source_language: str | None,
    target_language: str | None,
    form: Format | None,
    columns: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Write the pairs of `files` that the cleaning keeps to `output`, and show what each filter dropped."""
    text = named_corpus(files, source_language, target_language, form, columns)
    languages = text.languages
    held_out = named_corpus(against, languages.source, languages.target) if against else None
    config, stdin = cleaning_of(overrides or []), console.stdin() if STDIN in files else None
    paths, counts = clean_files(text, held_out, output, config, workers=workers, stdin=stdin)
    names = [str(path) for path in paths]
    if as_json:
        console.json_out({"files": files, "written": names, "languages": languages.model_dump(), **counts.to_json()})
        return
    for name, count in counts.anomalies[CORPUS].items():
        console.log(f"clean: found in the text: {name} {count:,}")
    show_funnel(counts, None)
    console.log(f"clean: wrote {counts.pairs:,} pairs to {' and '.join(names)}")


def cleaning_of(overrides: Sequence[str]) -> CleaningConfig:
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


def filters() -> None:
    """List the mends and filters of [cleaning]."""
    found = {knob.key: knob for knob in knobs(CleaningConfig)}
    rows = [[name, key, found[key].default, found[key].text] for name, key in filter_names().items()]
    console.table(["name", "key", "default", "what it does"], rows)


def funnel(run: Path, output: Path | None) -> None:
    """Show the funnel of a run, or draw it to `output`."""
    if output is not None and output.suffix not in PICTURES:
        raise UsageError(f"-o {output}: not a picture", hint=f"name it {' or '.join(PICTURES)}")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"-o {output}: no folder {output.parent}", hint="make it first")
    text, ids = counts_of(run)
    if output is None:
        show_funnel(text, ids, examples=True)
    else:
        from nmt.data.cleaning.plotting import draw_funnel  # loads Matplotlib, which only a picture needs

        draw_funnel(text, ids, output)
        console.log(f"funnel: drawn to {output}")


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
            console.out(f"mended: {name} {count:,} sides")
    samples = {**text.funnel.samples, **(ids.funnel.samples if ids else {})}
    for step in steps if examples or console.VERBOSE else ():
        for source, target in samples.get(step.name, ()):
            console.out(f"  {step.name}: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")
