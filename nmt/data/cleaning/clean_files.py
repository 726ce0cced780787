"""Clean parallel text outside of a run, from files to files: the work of `nmt data clean`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from nmt.config.data import CleaningConfig, DataConfig
from nmt.cores import cores
from nmt.data.cleaning.corpus_text import TextPlan, iterate_text, write_text
from nmt.data.cleaning.funnel import TextCounts
from nmt.data.reading.corpus import STDIN
from nmt.data.reading.formats import format_of
from nmt.data.reading.named_files import NamedCorpus
from nmt.data.reading.streams import COMPRESSIONS, compressing, compression_suffix, is_archive, plain_name
from nmt.errors import UsageError
from nmt.files import behind, check_output, remove, remove_leftovers, replacing, scratch_of, sync
from nmt.locks import holding_output

CORPUS = "text"  # name of the cleaned corpus in the counts
HELD_OUT = "against"  # name of the held-out text in the plan


def clean_files(
    text: NamedCorpus,
    held_out: NamedCorpus | None,
    output: Path,
    config: CleaningConfig,
    *,
    workers: int | None,
    stdin: BinaryIO | None,
) -> tuple[list[Path], TextCounts]:
    """Clean `text` as a run would, keep the pairs of `held_out` out of it, and write the files that `output` names.

    Returns the written files and the counts of `write_text`. Raises UsageError where the files cannot be written,
    InUseError where another process writes them.
    """
    paths = output_paths(output, text, held_out)
    test = {HELD_OUT: held_out.corpus.model_dump()} if held_out else {}
    data = DataConfig.model_validate({"train": {CORPUS: text.corpus.model_dump()}, "test": test})
    plan = TextPlan(data, config, text.languages, Path(), local=False, split_off=False)
    scratch = scratch_of(output, ".text")
    with holding_output(output):
        remove_leftovers(output)
        try:
            counts = write_text(plan, scratch, workers=workers or cores(), stdin=stdin)
            with writing_pairs(paths) as write:
                for pair in iterate_text(scratch, "train"):
                    write(*pair)
        finally:
            remove(scratch)
    return paths, counts


def output_paths(output: Path, text: NamedCorpus, held_out: NamedCorpus | None) -> list[Path]:
    """Return the files that `output` names: one .tsv, or one file a language.

    Raises UsageError where they cannot be written, or are among the files that are read.
    """
    if str(output) == STDIN:
        raise UsageError("-o -: the output is files, not standard output", hint="such as -o clean, or -o clean.tsv")
    name, ending, plain = output.name, compression_suffix(output.name), plain_name(output.name)
    if is_archive(name) or plain_name(plain) != plain or format_of(plain) not in (None, "tsv"):
        hint = f"two files of lines, or one .tsv; plain, or {', '.join(COMPRESSIONS)}"
        raise UsageError(f"-o {output}: not a name of what can be written", hint=hint)
    if not output.parent.is_dir():
        raise UsageError(f"-o {output}: no folder {output.parent}", hint="make it first")
    codes = (text.languages.source, text.languages.target)
    is_table = format_of(plain) == "tsv"
    paths = [output] if is_table else [output.with_name(f"{plain}.{code}{ending}") for code in codes]
    read = {path.resolve() for named in (text, held_out) if named is not None for path in named.paths}
    for path in paths:
        if path.is_dir():
            raise UsageError(f"-o {output}: {path} is a folder")
        if path.resolve() in read:
            raise UsageError(f"-o {output}: {path} is one of the files to be read", hint="give the output another name")
        check_output(path)
    return paths


@contextmanager
def writing_pairs(paths: Sequence[Path]) -> Iterator[Callable[[str, str], None]]:
    """Yield a function that writes a pair to two files of lines or to one .tsv; they appear when all is written.

    A tab within a side becomes a space in a .tsv.
    """
    with ExitStack() as renaming:
        scratches = [renaming.enter_context(replacing(path)) for path in paths]
        with ExitStack() as stack:
            files = [
                stack.enter_context(compressing(stack.enter_context(scratch.open("wb")), path.name))
                for scratch, path in zip(scratches, paths, strict=True)
            ]

            def write(*pair: str) -> None:
                lines = pair if len(files) == 2 else ["\t".join(side.replace("\t", " ") for side in pair)]
                for file, line in zip(files, lines, strict=True):
                    file.write(f"{line}\n".encode())

            yield write
        if len(paths) > 1:
            # A kill between the renames must leave a file missing, never an old one beside a new one.
            for scratch in scratches:
                sync(scratch)
            for path in paths:
                remove(behind(path))
