"""The export of a bundle as a folder that transformers loads: kept only if it translates as the native engine does."""

from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypedDict

from nmt import runtime
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import EOS_ID, Tokenizer
from nmt.data.reading.archives import read_lines
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.model_card import model_card
from nmt.exporting.parity import (
    MOST_LINES,
    OWN,
    Agreement,
    best,
    check,
    compare,
    describe_sample,
    draw_sample,
    read_sample,
)
from nmt.exporting.tokenizers import odd_text
from nmt.files import check_new_folder, check_writable, digest_file, read_json, replacing, write_json, write_text
from nmt.inference.bundle import CARD, CONFIG, SCORES, WEIGHTS, Bundle, open_bundle
from nmt.inference.engines.ctranslate2 import EXPORT, EXPORTS, TRANSFORMERS
from nmt.inference.engines.native import NativeEngine, load_model
from nmt.model.encoder_decoder import Transformer
from nmt.version import __version__

AWKWARD = (
    *("", " ", "  two  spaces ", "a\ttab", "no\u00a0break", "\u2581x\u2581y", "\x01a\x7fb", "line\u2028break\u0085"),
    *("\U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea 1\ufe0f\u20e3", "\ud7a3 \U00020bb7", "\ufeffa \ufffdb"),
    *("\u0e09\u0e31\u0e19\u0e23\u0e31\u0e01\u0e19\u0e49\u0e33", "\u6211\u7231\u4f60\uff0c\u4e16\u754c\uff01\uff5e"),
    *("\u0645\u0631\u062d\u0628\u0627 \u0640 \u0644\u0627", "\u0928\u093f \u0bca\u0bc6\u0bbe", "\u00bd\u0301 \ufb01"),
    *("<s> </s> <pad> <unk> <0x41>", "...... ------ aaaaaaa", "\u03c2 \u03a3 \u0130 \u0131 \u1e9e"),
)
"""Text that tokenizers split in different ways: spaces, control characters, emoji, scripts, and the names of pieces."""


class SameIds(TypedDict):
    """Agreement of the tokenizers of an export and of the bundle."""

    lines: int  # of the sample
    odd_lines: int  # the same, decomposed and in full width, and odd text
    odd_differing: int  # odd lines with other ids
    decoded: int  # translations of the sample
    decoded_differing: int  # translations with another text


class Manifest(TypedDict):
    """The keys of `manifest.json`."""

    format: int
    nmt: str
    engine: str
    version: str  # of transformers
    weights: str  # SHA-256 of the bundle's
    sample: str
    parity: dict[str, Agreement]
    tokenizer: SameIds
    length_penalty: float  # exponent of transformers' length penalty
    files: dict[str, str]


class Encoding(Protocol):
    """The ids of several lines."""

    input_ids: list[list[int]]


class Encoder(Protocol):
    """What is used of a tokenizer of transformers."""

    def __call__(self, text: list[str]) -> Encoding: ...

    def batch_decode(self, sequences: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]: ...


def import_transformers() -> ModuleType:
    """Import the package transformers. Raises UsageError where it is missing."""
    return runtime.import_extra("transformers", "huggingface", "--to huggingface")


def export_huggingface(path: Path, folder: Path, *, sample: Path | None) -> Manifest:
    """Write the bundle at `path` to `folder`, for transformers; return its manifest.

    Both translate the file `sample`, or else sources drawn from the vocabulary. Raises ArtifactError where they do not
    agree, and nothing is written; UsageError where transformers is missing or has no such model, or `folder` is in use.
    """
    package = import_transformers()
    package.utils.logging.set_verbosity_error()
    package.utils.logging.disable_progress_bar()
    bundle = open_bundle(path)
    bundle.check_translates()
    bundle.check_float32()
    bundle.check_plain_text()
    check_shape(bundle.config.model)
    if bundle.tokenizer.source.vocabulary is not None:
        hint = "take the folder that the model was imported from"
        raise UsageError(f"{path}: its tokenizer was not trained by nmt, and has rules of its own", hint=hint)
    if bundle.tokenizer.source.is_of_words:
        hint = "nmt export --to ctranslate2 takes it"
        raise UsageError(f"{path}: its tokenizer is of words, and the export has pieces of words alone", hint=hint)
    (check_writable if folder.parent == path / EXPORTS else check_new_folder)(folder)
    lines = list(islice(read_lines(sample), MOST_LINES)) if sample else []
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    lines = lines or bundle.tokenizer.source.decode(sources)
    model = load_model(bundle).eval()
    assert isinstance(model, Transformer)
    with replacing(folder) as scratch:
        exponent = write_model(scratch, model, bundle, sources)
        theirs = package.AutoModelForSeq2SeqLM.from_pretrained(scratch, local_files_only=True).eval()
        tokenizer = package.AutoTokenizer.from_pretrained(scratch, local_files_only=True)
        native = NativeEngine([model])
        hypotheses = [hypothesis.ids for hypothesis in best(native, sources, bundle.config.decoding)]
        ids = compare_tokenizers(tokenizer, bundle, lines, hypotheses)
        engines = import_module("nmt.exporting.transformers_model")
        offset = 0 if bundle.tokenizer.joint else bundle.tokenizer.target_size
        engine = engines.TransformersEngine(theirs, offset, model.position_limit, bundle.config.decoding)
        parity = compare(native, engine, sources, bundle)
        check({search: found for search, found in parity.items() if search != OWN or not exponent}, "float32")
        write_text(scratch / CARD, model_card(bundle, parity, ids, exponent, read_json(path / SCORES) or {}))
        manifest: Manifest = {
            "format": EXPORT.format,
            "nmt": __version__,
            "engine": TRANSFORMERS,
            "version": package.__version__,
            "weights": bundle.config.files[WEIGHTS],
            "sample": describe_sample(sample),
            "parity": parity,
            "tokenizer": ids,
            "length_penalty": exponent,
            "files": {file.name: digest_file(file) for file in sorted(scratch.iterdir())},
        }
        EXPORT.write(scratch, manifest)
    return manifest


def told(manifest: Manifest) -> list[str]:
    """Return lines that say how the tokenizers agree, and what the search by its own settings is."""
    ids, exponent = manifest["tokenizer"], manifest["length_penalty"]
    lines = [
        f"the tokenizer gives all {ids['lines']} lines the same ids, and {ids['odd_differing']} of {ids['odd_lines']} "
        f"odd ones others; {ids['decoded_differing']} of {ids['decoded']} translations have another text"
    ]
    if exponent:
        lines.append(f"with its own settings transformers searches by another length penalty, length^{exponent:g}")
    return lines


def check_shape(config: ModelConfig) -> None:
    """Raise UsageError where transformers has no such model with an encoder and a decoder."""
    learned_after = config.norm == "post" and config.positions == "learned"
    wrong = {
        "architecture": config.architecture != "encoder-decoder",
        "positions": config.positions == "rotary" or learned_after,
        "activation": config.activation == "swiglu",
        "attention_kernel": config.attention_kernel != "softmax",
        "attention_window": config.attention_window is not None,
        "head_width": config.width_of_heads * config.heads != config.d_model,
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            setting = f"model.{key} = {getattr(config, key)}"
            other = ' with model.norm = "post"' if key == "positions" and learned_after else ""
            hint = "translate with nmt, or see what --to ctranslate2 takes"
            raise UsageError(f"{setting}{other}: transformers has no encoder and decoder like this", hint=hint)


def write_model(folder: Path, model: Transformer, bundle: Bundle, sources: Sequence[Sequence[int]]) -> float:
    """Write model, settings and tokenizer to the new `folder`; return the exponent of the length penalty.

    transformers divides by length^exponent, and nmt by ((5 + length) / 6)^alpha: at the mean length of translations
    one more piece then weighs as much.
    """
    fast, models = (import_module(f"nmt.exporting.{name}") for name in ("fast_tokenizer", "transformers_model"))
    vocab = fast.vocabulary(bundle.tokenizer)
    config, decoding = bundle.config.model, bundle.config.decoding
    ratio = bundle.config.training_lines.ratio if bundle.config.training_lines else 1.0
    length = 1 + ratio * sum(map(len, sources)) / len(sources)
    exponent = round(decoding.length_penalty * length / (5 + length), 3)
    theirs = models.converted(model, config, len(vocab.tokens), vocab.offset)
    theirs.generation_config = models.generation(config, decoding, exponent)
    theirs.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):  # which the package lets nobody else read
        weights.chmod((folder / CONFIG).stat().st_mode)
    fast.fast_tokenizer(bundle.tokenizer, vocab).save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", fast.settings(vocab, config.max_length))
    return exponent


def compare_tokenizers(theirs: Encoder, bundle: Bundle, lines: list[str], hypotheses: list[list[int]]) -> SameIds:
    """Compare the tokenizer of an export with the bundle's on `lines`, odd text, and `hypotheses` to decode.

    Raises ArtifactError where one of `lines` has other ids, or a hypothesis that spells characters has another text.
    """
    own, odd = bundle.tokenizer, [*odd_text(lines), *AWKWARD]
    texts = own.target.decode(hypotheses)
    decoded = zip(texts, theirs.batch_decode(hypotheses, skip_special_tokens=True), strict=True)
    others = [(one, other) for one, other in decoded if one != other]
    if wrong := differing(theirs, own, lines):
        problem = f"its tokenizer gives {len(wrong)} of {len(lines)} lines other ids, such as {wrong[0]!r}"
    elif spelled := [one for one, _ in others if "\ufffd" not in one]:
        problem = (
            f"its tokenizer gives {len(spelled)} of {len(texts)} translations another text, such as {spelled[0]!r}"
        )
    else:
        return {
            "lines": len(lines),
            "odd_lines": len(odd),
            "odd_differing": len(differing(theirs, own, odd)),
            "decoded": len(texts),
            "decoded_differing": len(others),
        }
    raise ArtifactError(f"the export is not kept: {problem}", hint="compare on other text: --sample FILE")


def differing(theirs: Encoder, own: Tokenizer, lines: list[str]) -> list[str]:
    """Return the `lines` to which the tokenizer of an export gives other ids, EOS among them."""
    first = own.target_size if not own.joint else 0
    expected = ([first + i for i in [*ids, EOS_ID]] for ids in own.source.encode(lines))
    return [line for line, ids, found in zip(lines, expected, theirs(lines).input_ids, strict=True) if ids != found]
