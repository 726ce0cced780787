"""The work of the commands for cleaning: `data clean`, `data filters`, `data funnel`."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nmt import console
from nmt.config.data import CleaningConfig, CorpusConfig, DataConfig
from nmt.config.toml import check, knobs, override_key
from nmt.data.cleaning.corpus_text import TextPlan, iterate_text, write_text
from nmt.data.cleaning.funnel import PICTURES, IdsCounts, TextCounts, percent, steps_of
from nmt.data.cleaning.statistics import filter_names
from nmt.data.reading.archives import is_archive
from nmt.data.reading.corpus import STDIN
from nmt.data.reading.formats import Format, format_of, plain_name
from nmt.data.reading.named_files import NamedCorpus, named_corpus, shortened
from nmt.errors import ArtifactError, UsageError
from nmt.files import read_record, remove, replacing, sync
from nmt.pipeline.manifest import MANIFEST
from nmt.run_folder import RunFolder
from nmt.runtime import cores

CORPUS = "text"
"""Name of the corpus that is cleaned."""
AGAINST = "against"
"""Name of the text that is kept out of it."""
SHOWN = 100
"""Characters that are shown of a side of an example."""


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
    given = named_corpus(files, source_language, target_language, form, columns)
    languages = given.languages
    held_out = named_corpus(against, languages.source, languages.target) if against else None
    paths = outputs(output, given, held_out)
    config = cleaning_of(overrides or [])
    plan = TextPlan(
        data_of(given.corpus, held_out.corpus if held_out else None),
        config,
        languages,
        Path(),
        local=False,
        split_off=False,
    )
    remove_leftovers(output, paths)
    scratch = output.with_name(f".{output.name}.{os.getpid()}.text.partial")
    stdin = console.stdin() if STDIN in files else None
    try:
        counts = write_text(plan, scratch, workers=workers or cores(), stdin=stdin)
        with writing_pairs(paths) as write:
            for pair in iterate_text(scratch, "train"):
                write(*pair)
    finally:
        remove(scratch)
    names = [str(path) for path in paths]
    if as_json:
        console.json_out({"files": files, "written": names, "languages": languages.model_dump(), **counts.to_json()})
        return
    for name, count in counts.anomalies[CORPUS].items():
        console.log(f"clean: found in the text: {name} {count:,}")
    show_funnel(counts, None)
    console.log(f"clean: wrote {counts.pairs:,} pairs to {' and '.join(names)}")


def outputs(output: Path, given: NamedCorpus, held_out: NamedCorpus | None) -> list[Path]:
    """Return the files to write. Raises UsageError where they cannot be, or are among those that are read."""
    if str(output) == STDIN:
        raise UsageError("-o -: the output is files, not standard output", hint="such as -o clean, or -o clean.tsv")
    name, ending = output.name, ".gz" if output.name.endswith(".gz") else ""
    plain = name.removesuffix(ending)
    if is_archive(name) or plain_name(plain) != plain or format_of(plain) not in (None, "tsv"):
        raise UsageError(
            f"-o {output}: not a name of what can be written", hint="two files of lines, or one .tsv; plain, or .gz"
        )
    if not output.parent.is_dir():
        raise UsageError(f"-o {output}: no folder {output.parent}", hint="make it first")
    if format_of(plain) == "tsv":
        paths = [output]
    else:
        paths = [
            output.with_name(f"{plain}.{code}{ending}") for code in (given.languages.source, given.languages.target)
        ]
    read = {path.resolve() for one in (given, held_out) if one is not None for path in one.paths}
    for path in paths:
        if path.is_dir():
            raise UsageError(f"-o {output}: {path} is a folder")
        if path.resolve() in read:
            raise UsageError(f"-o {output}: {path} is one of the files to be read", hint="give the output another name")
    return paths


def cleaning_of(overrides: Sequence[str]) -> CleaningConfig:
    """Return the filters that `overrides`, such as `cleaning.max_ratio=3`, set. Raises UsageError, and RecipeError."""
    of_pieces = {"max_pieces", "max_piece_ratio"}
    tree: dict[str, Any] = {}
    for override in overrides:
        override_key(tree, override)
    for key in tree:
        if key != "cleaning":
            raise UsageError(f"--set {key}: only [cleaning] can be set here", hint="such as --set cleaning.max_ratio=3")
    given = tree.get("cleaning", {})
    if found := sorted(of_pieces & set(given)):
        raise UsageError(f"--set cleaning.{found[0]}: this takes a tokenizer", hint="nmt prepare drops such pairs")
    languages = {"source": "en", "target": "de"}
    corpus = {"builtin": "train", "pairs": 1}
    whole = {"name": "clean", "languages": languages, "data": {"train": corpus}, "cleaning": given}
    return check(whole, "--set").cleaning if given else CleaningConfig()


def data_of(corpus: CorpusConfig, held_out: CorpusConfig | None) -> DataConfig:
    """Make the recipe's section of a corpus and of what is kept out of it."""
    test = {AGAINST: held_out.model_dump()} if held_out else {}
    return DataConfig.model_validate({"train": {CORPUS: corpus.model_dump()}, "test": test})


@contextmanager
def writing_pairs(paths: Sequence[Path]) -> Iterator[Any]:
    """Yield what writes a pair (source, target), to two files of lines or to one .tsv; they appear when all is written.

    A tab within a side becomes a space in a .tsv.
    """
    with ExitStack() as renaming:
        scratches = [renaming.enter_context(replacing(path)) for path in paths]
        with ExitStack() as stack:
            files = [stack.enter_context(opened(*both)) for both in zip(scratches, paths, strict=True)]

            def write(source: str, target: str) -> None:
                if len(files) == 2:
                    files[0].write(f"{source}\n".encode())
                    files[1].write(f"{target}\n".encode())
                else:
                    source, target = (side.replace("\t", " ") for side in (source, target))
                    files[0].write(f"{source}\t{target}\n".encode())

            yield write
        if len(paths) > 1:
            # A kill between the renames must leave a file missing, never an old one beside a new one.
            for scratch in scratches:
                sync(scratch)
            for path in paths:
                remove(path)


def remove_leftovers(output: Path, paths: Sequence[Path]) -> None:
    """Delete what killed runs that were to write `output`, or `paths`, left beside them."""
    names = "|".join(re.escape(path.name) for path in (output, *paths))
    for path in output.parent.iterdir():
        found = re.fullmatch(rf"\.(?:{names})\.([0-9]+)(?:\.text|\.old)?\.partial", path.name)
        if found and not is_running(int(found[1])):
            remove(path)


def is_running(process: int) -> bool:
    """Tell whether another process than this one has that number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True


@contextmanager
def opened(scratch: Path, path: Path) -> Iterator[BinaryIO]:
    """Open `scratch` to write what is to lie at `path`: compressed if that ends in .gz, with no date in it."""
    with scratch.open("wb") as file:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield file
        file.flush()


def filters() -> None:
    """List what the section [cleaning] can set."""
    found = {knob.key: knob for knob in knobs(CleaningConfig)}
    rows = [[name, key, found[key].default, found[key].text] for name, key in filter_names().items()]
    console.table(["name", "key", "default", "what it does"], rows)


def funnel(run: Path, output: Path | None) -> None:
    """Show, or draw to `output`, what became of the pairs of `run`."""
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
    """Read the counts of the text of a run, and of its ids if they are made. Raises ArtifactError."""
    folder = RunFolder(run)
    text, ids = (read_record(path / MANIFEST, "counts") for path in (folder.text, folder.ids))
    try:
        return TextCounts.from_json((text or {})["counts"]), IdsCounts.from_json(ids["counts"]) if ids else None
    except (KeyError, TypeError):
        raise ArtifactError(f"{run}: no prepared text in it", hint="nmt prepare RECIPE makes it") from None


def show_funnel(text: TextCounts, ids: IdsCounts | None, *, examples: bool = False) -> None:
    """Print what each filter dropped, zeros included, in all and by corpus; `examples`, or -v, show some."""
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
