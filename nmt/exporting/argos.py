"""The export of a bundle to a package of Argos Translate, which LibreTranslate loads too.

The package holds an export to CTranslate2, behind its gate, one SentencePiece model for both sides, and a network that
finds the ends of sentences. Argos Translate sets the search itself.
"""

import random
import shutil
import tempfile
import zipfile
from importlib import import_module
from itertools import islice, pairwise
from pathlib import Path
from typing import TypedDict

import sentencepiece

from nmt.config.model import ModelConfig
from nmt.data.encoding.normalization import plain
from nmt.data.encoding.tokenizer import EOS_ID, SPACE, Tokenizer
from nmt.data.languages import english_name, language_of, standard_code
from nmt.data.reading.archives import read_lines
from nmt.data.sentences import SentenceSplitter
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.ctranslate2 import Manifest, convert, open_convertible
from nmt.exporting.parity import DRAWN_LENGTHS, DRAWN_LINES, MOST_LINES, SEED
from nmt.files import check_output, replacing, write_json
from nmt.inference.bundle import CARD, WEIGHTS, Bundle
from nmt.inference.engines.ctranslate2 import Quantization, import_ctranslate2
from nmt.runtime import import_extra

MADE_FOR, SUFFIX = "1.11", ".argosmodel"
LONGEST_SOURCE = 1024
"""Pieces of a source that CTranslate2 takes by default. At a position that the model has not, it raises an error."""
OLDEST = (1980, 1, 1, 0, 0, 0)  # of all times that a zip archive can hold: the same content gives the same bytes
OWN_CODES = {("zh", "Hant"): "zt", ("pt", "BR"): "pb"}  # Argos Translate's, by language and script or territory
UNDERSCORE = "_"  # in a translation Argos Translate writes a space for it


class Package(TypedDict):
    """How a package was made, and what Argos Translate does otherwise than nmt with it."""

    model: Manifest
    underscored: int  # pieces of the target with an underscore
    texts: int  # pairs of neighbouring lines of the sample, each pair as one text
    cut_otherwise: int  # texts with other sentences than nmt's
    longest_source: int | None  # pieces of a source beyond which it fails; None where it cuts off the rest
    tags: list[str]  # those that the model knows, and that it does not put before text
    protects: bool  # whether nmt protects text by placeholders, which it does not


def export_argos(path: Path, output: Path, *, quantization: Quantization, sample: Path | None) -> Package:
    """Write the bundle at `path` to the file `output` as a package of Argos Translate.

    Raises ArtifactError where the model does not translate as the native engine does, or its text would be spelled
    otherwise, and nothing is written; UsageError where a package is missing or Argos Translate has no such model.
    """
    import_ctranslate2()
    import_extra("onnx", "argos", "the export to argos")
    sentences = import_module("nmt.exporting.argos_sentences")  # imports the package, an optional extra
    bundle = open_convertible(path)
    check_family(bundle.config.model)
    bundle.check_one_direction("Argos Translate")
    check_tags(bundle)
    languages = bundle.config.languages
    check_output(output)
    with tempfile.TemporaryDirectory(prefix="nmt-argos-") as scratch:
        folder = Path(scratch)
        manifest = convert(bundle, folder / "model", quantization, sample, least_positions=LONGEST_SOURCE)
        (folder / "model" / "target.spm").unlink()
        tokenizer = (folder / "model" / "source.spm").rename(folder / "sentencepiece.model")
        check_spelling(tokenizer, bundle.tokenizer)
        network = folder / "minisbd" / "sentences.onnx"
        network.parent.mkdir()
        sentences.write(network, languages.source)
        texts = [" ".join(pair) for pair in pairwise(islice(read_lines(sample), MOST_LINES))] if sample else []
        package: Package = {
            "model": manifest,
            "underscored": sum(UNDERSCORE in piece for piece in bundle.tokenizer.pieces[1]),
            "texts": len(texts),
            "cut_otherwise": sentences.differing(network, texts, SentenceSplitter(languages.source)),
            "longest_source": longest_source(bundle.config.model),
            "tags": bundle.tokenizer.tags,
            "protects": bundle.config.protect is not None,
        }
        metadata = {**describe(*languages.pair), "nmt": package}
        write_json(folder / "metadata.json", metadata)
        shutil.copyfile(path / CARD, folder / CARD)
        pair = f"{metadata['from_code']}_{metadata['to_code']}"
        write_archive(output, f"translate-{pair}-{bundle.config.files[WEIGHTS][:8]}", folder)
    return package


def check_family(config: ModelConfig) -> None:
    """Raise UsageError where Argos Translate has no such model: it has an encoder and a decoder."""
    if config.architecture != "encoder-decoder":
        raise UsageError(
            f"Argos Translate has no model of the architecture {config.architecture}",
            hint="take --to ctranslate2, or translate with the native engine",
        )


def check_tags(bundle: Bundle) -> None:
    """Raise UsageError where the model has tags that a SentencePiece model does not find in a text."""
    tokenizer = bundle.tokenizer
    if tokenizer.tags and tokenizer.source.vocabulary is not None:
        raise UsageError(
            f"{bundle.path}: its tags, {' '.join(tokenizer.tags)}, are outside its SentencePiece model, and Argos "
            "Translate has no place for them",
            hint="take --to ctranslate2, or nmt serve",
        )


def longest_source(config: ModelConfig) -> int | None:
    """Return the pieces of a source beyond which CTranslate2 fails, or None where it does not."""
    is_bound = config.positions == "learned" and 2 * config.max_length < LONGEST_SOURCE
    return 2 * config.max_length if is_bound else None


def check_spelling(file: Path, tokenizer: Tokenizer) -> None:
    """Check that the SentencePiece model `file`, that of the source, spells the pieces of the target.

    Argos Translate has one for both sides. Raises ArtifactError.
    """
    model, rng = sentencepiece.SentencePieceProcessor(model_file=str(file)), random.Random(SEED)
    drawn = [
        [rng.randrange(EOS_ID + 1, tokenizer.target_size) for _ in range(DRAWN_LENGTHS[number % len(DRAWN_LENGTHS)])]
        for number in range(DRAWN_LINES)
    ]
    rows = [*([index] for index in range(EOS_ID + 1, tokenizer.target_size)), *drawn]
    for ids, own in zip(rows, tokenizer.target.decode(rows), strict=True):
        pieces = tokenizer.target.pieces(ids)
        spelled = plain(model.decode_pieces(pieces).replace(SPACE, " ")).removeprefix(" ")
        if spelled != own.removeprefix(" "):
            raise ArtifactError(
                "the export is not kept: with the tokenizer of the source, which Argos Translate takes for both sides, "
                f"{own!r} is spelled {spelled!r}",
                hint="train with tokenizer.joint = true",
            )


def argos_code(code: str) -> str:
    """Return Argos Translate's code of the language that `code` names."""
    language = language_of(code)
    if language is None:
        return code.lower()
    standard, whole = standard_code(code), language.maximize()
    kinds = [(standard, whole.script), (standard, language.territory)]
    return next((OWN_CODES[kind] for kind in kinds if kind in OWN_CODES), standard)


def describe(source: str, target: str) -> dict[str, str]:
    """Return the keys of `metadata.json` that Argos Translate reads, for codes of a recipe."""
    keys = {"package_version": "1.0", "argos_version": MADE_FOR, "type": "translate"}
    for side, code in (("from", source), ("to", target)):
        keys |= {f"{side}_code": argos_code(code), f"{side}_name": english_name(code)}
    return keys


def write_archive(output: Path, root: str, folder: Path) -> None:
    """Write the files of `folder`, in a folder called `root`, to the zip archive `output`."""
    with replacing(output) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(f"{root}/{file.relative_to(folder).as_posix()}", OLDEST)
            archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED)


def otherwise(package: Package) -> list[str]:
    """Return what Argos Translate does otherwise than nmt with the text of this model, a line each."""
    lines = ["Argos Translate searches by settings of its own: beam size 4, and a length penalty of 0.2"]
    if package["texts"]:
        cut = f"{package['cut_otherwise']} of {package['texts']}"
        lines.append(f"{cut} texts of two lines are cut into other sentences than nmt's")
    if package["underscored"]:
        lines.append(f"an underscore of a translation becomes a space; pieces with one: {package['underscored']}")
    if package["longest_source"]:
        lines.append(
            f"a sentence of more than {package['longest_source']} pieces ends in an error: positions are learned"
        )
    if package["tags"]:
        lines.append(f"tags have to stand in the text: {' '.join(package['tags'])}")
    if package["protects"]:
        lines.append("no text is protected by placeholders")
    return lines
