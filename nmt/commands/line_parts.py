"""The output of `nmt translate` by several ranks: parts on a shared disk, which the first rank joins in order."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from nmt import console
from nmt.commands.line_input import Reader
from nmt.commands.line_output import Format, render
from nmt.commands.options import writing
from nmt.config.inference import InferenceConfig, Options
from nmt.config.section import Section
from nmt.data.reading.terms import Terms
from nmt.errors import StorageError
from nmt.files import (
    JsonObject,
    behind,
    differing,
    digest,
    digest_file,
    digest_json,
    entries,
    read_json,
    remove,
    replacing,
    write_json,
)
from nmt.inference.bundle import CONFIG
from nmt.inference.confidence import FILE as CALIBRATION
from nmt.inference.engines import ctranslate2
from nmt.inference.report import Report
from nmt.inference.translator import FIRST_CHUNK, LARGEST_CHUNK, Translator
from nmt.locks import holding_output
from nmt.training.distributed import Ranks, joined
from nmt.version import __version__

SETTINGS, PARTS = "settings.json", "*.part"


@dataclass
class SharedOutput:
    """The output of this rank and the others.

    A part is the chunk of lines that one process would translate at once, so that batches and bits are the same. It
    lies in a hidden folder beside the output, named by the settings, under its number and the digest of its lines: as a
    name has the same content for ever, a disk that lags behind cannot show another one.
    """

    ranks: Ranks
    output: Path
    file: BinaryIO  # what the first rank writes
    folder: Path = Path()  # of the parts, once `begin` has named it

    def begin(
        self,
        models: Sequence[Path],
        inference: InferenceConfig,
        given: Mapping[str, Section | None],
        terms: Terms | None = None,
    ) -> None:
        """Let the first rank make the folder of the parts made with the settings `given`, and say how many are done.

        Raises ArtifactError where the ranks differ in settings or models, StorageError where one sees no such folder.
        """
        settings = {name: section and section.model_dump() for name, section in given.items()}
        settings |= made_with(models, inference)
        if terms is not None:
            settings["terms"] = asdict(terms)
        digests = {name: digest_json(value)[:12] for name, value in settings.items()}
        self.ranks.check_equal(digests, "give all of them the same command, models and version")
        self.folder = parts_beside(self.output) / digest_json(settings)[:16]
        if self.ranks.is_main:
            for other in entries(self.folder.parent, "*"):
                if other != self.folder:
                    changed = ", ".join(differing(read_json(other / SETTINGS) or {}, settings))
                    lost = len(entries(other, PARTS))
                    console.log(f"translate: other settings, parts made anew: {lost:,} (changed: {changed})")
                    remove(other)
            if found := entries(self.folder, PARTS):
                console.log(f"translate: going on, parts done: {len(found):,}")
            write_json(self.folder / SETTINGS, settings)
        self.ranks.barrier()
        if not (self.folder / SETTINGS).is_file():
            hint = "the output must lie on a disk that all ranks share"
            raise StorageError(f"{self.folder}: not seen by rank {self.ranks.rank}", hint=hint)

    def translate(
        self,
        translator: Translator,
        reader: Reader,
        prefixes: Sequence[str] | None,
        options: Options,
        form: Format,
        update: Callable[[int], None],
        *,
        is_withheld: bool = False,
    ) -> Report:
        """Translate the lines of `reader`, in turns with the other ranks; on the first rank write all of them.

        `update` gets the number of the line that this rank has reached; unsure translations may be withheld. Returns
        the report on all lines, on the first rank. Raises StorageError there where a part is missing in the end.
        """
        paths, first, turn = [], 1, self.ranks.take()
        for number, lines in enumerate(chunks(reader.lines)):
            begun = prefixes[first - 1 : first - 1 + len(lines)] if prefixes is not None else None
            path = self.folder / f"{number:08}-{digest_json([lines, begun])[:16]}.part"
            if number == turn:
                if read_part(path) is None:
                    translator.report = Report(lines=first - 1)
                    translations = translator.translate(lines, options, prefixes=begun)
                    texts = [
                        render(form, at, translation, is_withheld=is_withheld)
                        for at, translation in enumerate(translations, first)
                    ]
                    write_part(path, translator.report, "".join(texts))
                update(first - 1 + len(lines))
                turn = self.ranks.take()
            paths.append(path)
            first += len(lines)
        self.ranks.barrier()
        report = Report(replaced=reader.replaced)
        if self.ranks.is_main:
            self._join(paths, report)
        return report

    def _join(self, paths: Sequence[Path], report: Report) -> None:
        """Write the parts at `paths` in order, and add their reports to `report`."""
        for path in paths:
            if (part := read_part(path)) is None:
                hint = "do all ranks read the same input? run again to make it"
                raise StorageError(f"{path}: missing or damaged", hint=hint)
            report.add(part[0])
            self.file.write(part[1])
        if others := len(entries(self.folder, PARTS)) - len(paths):
            console.log(f"translate: the input has changed, parts made anew: {others:,}")


@contextmanager
def sharing(output: Path) -> Iterator[SharedOutput]:
    """Join the ranks that torchrun started, which share `output` in the block. It is there when the block ends.

    Raises InUseError where another job writes it, RankError where a rank is lost.
    """
    with joined() as ranks:
        console.QUIET = not ranks.is_main
        with holding_output(output) if ranks.is_main else nullcontext():
            with writing(output) if ranks.is_main else nullcontext(io.BytesIO()) as file:
                yield SharedOutput(ranks, output, file)
            if ranks.is_main:
                with suppress(OSError):  # the output is there; the next job removes what is left
                    remove(parts_beside(output))
        ranks.barrier()


def parts_beside(output: Path) -> Path:
    """Return the folder that holds the parts of `output`."""
    target = behind(output)
    return target.with_name(f".{target.name}.parts")


def made_with(models: Sequence[Path], inference: InferenceConfig) -> JsonObject:
    """Return the version, the digests of `models`, and the settings of `inference` that translations depend on."""
    cards = [path / CONFIG for path in models]
    if inference.engine == ctranslate2.ENGINE:
        cards += [ctranslate2.find_export(path, inference.export) / ctranslate2.MANIFEST for path in models]
    cards += [path / CALIBRATION for path in models if (path / CALIBRATION).exists()]
    # Devices and threads change no more than rounding.
    own = inference.model_dump(exclude={"device", "devices", "threads"})
    return {"nmt": __version__, "models": [digest_file(path) for path in cards], "inference": own}


def chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    """Cut `lines` into the chunks of `Translator.stream`."""
    size = FIRST_CHUNK
    while chunk := list(islice(lines, size)):
        yield chunk
        size = min(2 * size, LARGEST_CHUNK)


def write_part(path: Path, report: Report, text: str) -> None:
    """Write a part, atomically: the digest of the rest, the report as JSON, the translations."""
    content = f"{json.dumps(asdict(report))}\n{text}".encode()
    with replacing(path) as scratch:
        scratch.write_bytes(digest(content).encode() + b"\n" + content)


def read_part(path: Path) -> tuple[Report, bytes] | None:
    """Return the report and the translations of a part; None where it is missing or damaged."""
    try:
        check, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if check != digest(content).encode():
        return None
    report, _, text = content.partition(b"\n")
    return Report(**json.loads(report)), text
