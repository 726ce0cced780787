"""The import of a model: kept only if it splits, scores and translates a sample as transformers does."""

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from huggingface_hub import metadata_load

from nmt import console
from nmt.config.decoding import EvaluationConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.section import shown
from nmt.config.toml import to_toml
from nmt.data.encoding.normalization import plain
from nmt.data.encoding.tokenizer import EOS_ID, UNK_ID
from nmt.data.languages import standard_tag
from nmt.data.reading.archives import read_lines
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.parity import BEAMS, SEED, agreement, best, describe_sample, draw_sample, read_sample
from nmt.exporting.tokenizers import ODD
from nmt.files import check_new_folder, digest_file, replacing, write_json
from nmt.importing.marian import NEEDED, OPTIONAL, MarianFolder
from nmt.importing.weights import import_weights, weights_file
from nmt.inference.bundle import BUNDLE, LOCK, Bundle, BundleConfig, Imported, open_bundle, write_bundle
from nmt.inference.engines.native import NativeEngine, load_model
from nmt.inference.protocol import Pair, by_batch
from nmt.model.preparation import prepare
from nmt.runtime import import_extra
from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.importing.peer import Peer

AWKWARD = (
    *(
        "",
        "  two  spaces ",
        "It's \u201cquoted\u201d \u2013 isn\u2019t it\u2026?",
        "x=1; y<2 && z>3 % #tag @name",
        "a\tb",
    ),
    *(
        "10,000.50 \u20ac / 3\u00bd % \u2103",
        "na\u00efve caf\u00e9 \u0153uvre \u00c5ngstr\u00f6m",
        "\u4e2d\u6587 \u4e2d x",
        "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    ),
    *(
        "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 ok",
        "\u0e44\u0e17\u0e22",
        "supercalifragilisticexpialidocious",
        "\uff28\uff45\uff4c\uff4c\uff4f",
        ">>",
        "<< a >>b<<",
    ),
    *ODD,
)
"""Lines on which tokenizers differ if any."""
LOG_PROBABILITY = 1e-4
"""The largest difference of a log-probability down to -10, and in proportion below, where float32 has fewer digits."""
SPELLED = ("</s>", "<unk>", "<pad>")  # what transformers takes for special pieces in raw text, and nmt for text
LANGUAGES = r"opus-mt-(?:tc-(?:base|big|bible-big)-)?([^-]+)-([^-]+)"
Parity = dict[str, dict[str, int | float]]


def import_model(
    folder: Path,
    output: Path,
    *,
    origin: str,
    revision: str | None,
    languages: tuple[str | None, str | None],
    sample: Path | None,
) -> BundleConfig:
    """Write a bundle of the model in `folder`, known as `origin`, to the new folder `output`; return its config.

    The `languages` are by default those that it says. Raises ArtifactError where it is no Marian model of nmt's kind or
    does not translate as it does in transformers, and UsageError where that package is missing, or `output` is in use;
    nothing is written then.
    """
    check_new_folder(output)
    marian = MarianFolder.open(folder)
    config = config_of(marian, origin, languages)
    peer = import_extra("nmt.importing.peer", "huggingface", "nmt import").Peer
    if banned := marian.forbidden():
        console.warn(f"{folder}: bad_words_ids also forbids {', '.join(banned)}, which nmt's search may write")
    weights = import_weights(marian)
    files = [*NEEDED, *(name for name in OPTIONAL if (folder / name).is_file()), weights_file(folder).name]
    imported = Imported(
        origin=origin,
        revision=revision,
        licence=licence_of(folder / "README.md"),
        files={name: digest_file(folder / name) for name in files},
        versions={name: version(name) for name in ("transformers", "torch", "sentencepiece")},
        sample=describe_sample(sample),
    )
    with replacing(output) as scratch, tempfile.TemporaryDirectory() as tokenizer:
        marian.write_tokenizer(Path(tokenizer))
        whole = config.model_copy(update={"imported": imported})
        write_bundle(scratch, weights, Path(tokenizer), {}, whole)
        bundle = open_bundle(scratch)
        imported = imported.model_copy(update={"parity": verify(peer(marian), bundle, sample)})
        whole = bundle.config.model_copy(update={"imported": imported})
        BUNDLE.write(scratch, whole.model_dump())
        write_json(scratch / LOCK, {"nmt": __version__, "imported": imported.model_dump()})
    return whole


def report(config: BundleConfig) -> Iterator[str]:
    """Yield what an import has to say: the origin, the agreement, the settings of the search, and how to train on."""
    imported, decoding = config.imported, config.decoding
    assert imported is not None
    parity = imported.parity
    yield f"{imported.source}, {config.languages.source} to {config.languages.target}"
    yield f"tokenizer: the ids of transformers on {parity['tokenizer']['lines']:,} lines"
    scored = parity["log_probabilities"]
    yield f"log-probabilities: within {scored['difference']:.1e} of transformers' on {scored['pieces']:,} pieces"
    for beam in BEAMS:
        found = parity[f"beam_{beam}"]
        yield (
            f"beam {beam}: {found['differing']} of {found['lines']} lines differ from transformers', {found['ties']} "
            f"ties; scores within {found['score_difference']:.1e}"
        )
    text = parity["text"]
    yield f"text: {text['differing']} of {text['lines']} translations are put together differently"
    yield (
        f"search by default: beam {decoding.beam_size}, length penalty {decoding.length_penalty} of Wu et al. 2016, "
        "which is milder than that of transformers"
    )
    own = {key: value for key, value in config.model.model_dump().items() if value != getattr(ModelConfig(), key)}
    yield f"to train on, a recipe has [model] {', '.join(f'{key} = {to_toml(value)}' for key, value in own.items())}"


def config_of(folder: MarianFolder, origin: str, languages: tuple[str | None, str | None]) -> BundleConfig:
    """Return the config of the bundle, whose files are not yet known. Raises UsageError without languages."""
    name = origin.rpartition("/")[2]
    told = re.fullmatch(LANGUAGES, name)
    own = folder.tokenizer.source_lang, folder.tokenizer.target_lang
    source, target = (
        given or found or (told and told[side])
        for side, (given, found) in enumerate(zip(languages, own, strict=True), 1)
    )
    if not source or not target:
        raise UsageError(f"{folder.path}: does not say its languages", hint="add --source SRC --target TGT")
    return BundleConfig(
        name=name,
        languages=LanguagesConfig(source=standard_tag(source), target=standard_tag(target)),
        model=folder.model,
        decoding=folder.generation.decoding(),
        evaluation=EvaluationConfig(),
    )


def licence_of(card: Path) -> str | None:
    """Return the licence that a model card names."""
    with suppress(Exception):  # it may be missing, and its head be anything
        values = metadata_load(card)
        licence = values.get("license") if values else None
        return licence if isinstance(licence, str) else None
    return None


def verify(peer: "Peer", bundle: Bundle, sample: Path | None) -> Parity:
    """Compare the bundle with transformers on a sample; return the figures. Raises ArtifactError where they differ."""
    native = NativeEngine([prepare(load_model(bundle), "float32")])
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    exact = {"length_penalty": 0.0, "no_repeat_ngram": 0, "min_length": 0}
    searches = [bundle.config.decoding.model_copy(update={**exact, "beam_size": beam}) for beam in BEAMS]
    found = [hypothesis.ids for hypothesis in best(native, sources, searches[0])]
    parity: Parity = {
        "tokenizer": compare_ids(peer, bundle, sources, sample),
        "log_probabilities": compare_scores(peer, native, list(zip(sources, found, strict=True))),
    }
    for decoding in searches:
        compared = agreement(native, peer, sources, decoding, bundle.tokenizer)
        name = f"beam_{decoding.beam_size}"
        parity[name] = cast("dict[str, int | float]", compared)
        if differing := compared["differing"]:
            refuse(f"at {name.replace('_', ' ')} it translates {differing} of {compared['lines']} lines differently")
    parity["text"] = compare_text(peer, bundle, found)
    return parity


def refuse(problem: str) -> NoReturn:
    raise ArtifactError(f"the import is not kept: {problem} than transformers does")


def compare_ids(peer: "Peer", bundle: Bundle, sources: list[list[int]], sample: Path | None) -> dict[str, int | float]:
    """Compare the ids of lines in both languages, those of the sample among them."""
    sides = bundle.tokenizer.source, bundle.tokenizer.target
    count = 0
    for side, is_target in zip(sides, (False, True), strict=True):
        drawn = [[i for i in ids if i < side.size] for ids in sources]
        lines = [
            *(side.decode(drawn) if is_target or not sample else islice(read_lines(sample), len(sources))),
            *AWKWARD,
        ]
        lines += [f"{tag} {line}" for tag in bundle.tokenizer.tags[:3] for line in AWKWARD if not is_target]
        lines = [line for line in map(plain, lines) if not any(piece in line for piece in SPELLED)]
        for line, one, other in zip(lines, side.encode(lines), peer.encode(lines, target=is_target), strict=True):
            count += 1
            if one != other:
                pieces = " ".join(side.pieces(one))
                refuse(f"it splits {shown(line)} differently, as {shown(pieces)},")
    return {"lines": count, "differing": 0}


def compare_scores(peer: "Peer", native: NativeEngine, pairs: list[Pair]) -> dict[str, int | float]:
    """Compare the log-probabilities of all target pieces of `pairs`, and of as many drawn from the vocabulary."""
    rng, size = random.Random(SEED), len(peer.target)
    drawn = [(src, [rng.randrange(EOS_ID + 1, size) for _ in src]) for src, _ in pairs]
    whole = [*pairs, *drawn]
    lengths = [len(src) + len(tgt) + 2 for src, tgt in whole]
    ours, theirs = (by_batch(whole, lengths, peer.batch_tokens, engine.score) for engine in (native, peer))
    both = [(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)]
    gaps = [abs(a - b) for a, b in both]
    if not all(abs(a - b) <= LOG_PROBABILITY * max(1.0, -b / 10) for a, b in both):  # nor not a number
        refuse(f"its log-probabilities are up to {max(gaps):.1e} other")
    return {"pieces": len(gaps), "difference": max(gaps)}


def compare_text(peer: "Peer", bundle: Bundle, rows: list[list[int]]) -> dict[str, int | float]:
    """Compare the text of translations; transformers leaves out unknown pieces, and spaces at the ends."""
    known = [row for row in rows if UNK_ID not in row]
    texts = zip(bundle.tokenizer.target.decode(known), peer.decode(known), strict=True)
    differing = sum(one.strip() != plain(other).strip() for one, other in texts)
    return {"lines": len(known), "differing": differing}
