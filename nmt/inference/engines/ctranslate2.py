"""The engine CTranslate2, which runs an export of the bundle and loads in a second."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nmt import console, runtime
from nmt.cards import Card
from nmt.config.decoding import DecodingConfig, InferencePrecision
from nmt.config.inference import InferenceConfig
from nmt.config.section import first_error
from nmt.cores import cores
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from nmt.errors import ArtifactError, UsageError
from nmt.files import Json, read_json
from nmt.inference.bundle import CONFIG, WEIGHTS
from nmt.inference.engines.ctranslate2_models import Decoder, EncoderDecoder, Settings
from nmt.inference.protocol import BATCH_TOKENS, TASK_ROWS, Hypothesis, Matrix, Pair, Request, Row, length_penalty

T = TypeVar("T")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
ENGINE = "ctranslate2"
EXPORTS, MANIFEST = "exports", "manifest.json"
TRANSFORMERS = "huggingface"  # the engine of exports for transformers, which lie beside those for CTranslate2
Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32"]
EXPORT = Card(MANIFEST, "export", format=1)
INT8_TASK_ROWS = 16
"""Most rows of a task on a CPU in int8: batches are cut into tasks, so that threads share them and a task has little
padding. A small model is 3 to 8% faster in int8 with 16 rows than with 32, and 5% slower in float32."""
NEVER = frozenset({PAD_ID, BOS_ID})  # pieces that no hypothesis holds
NOTHING = -1e9  # lower totals mark entries of the beam without a hypothesis


@dataclass(frozen=True)
class Export:
    """A verified export."""

    folder: Path
    quantization: str
    target_limit: int  # longest target in pieces, EOS included
    source: list[str]
    target: list[str]  # pieces of each side by id
    alignment_layer: int | None = None  # decoder layer, from 1, whose attention it gives; None for none

    @property
    def is_decoder(self) -> bool:
        """Whether it is a decoder alone."""
        return (self.folder / DECODER_VOCABULARY).exists()


class ExportManifest(BaseModel):
    """The keys of the manifest that count; others are of another nmt."""

    model_config = ConfigDict(extra="ignore", strict=True)
    engine: str
    weights: str
    quantization: Quantization
    target_limit: Annotated[int, Field(ge=1, le=2**20)]
    alignment_layer: Annotated[int, Field(ge=1, le=2**10)] | None = None  # exports of an older nmt have none
    files: dict[str, str]


class DecoderConfig(BaseModel):
    """The keys of CTranslate2's `config.json` by which it reads rows of pieces; others are of another CTranslate2."""

    model_config = ConfigDict(extra="ignore", strict=True)
    bos_token: str
    eos_token: str
    unk_token: str
    layer_norm_epsilon: Annotated[float, Field(gt=0, lt=1)] | None = None
    multi_query_attention: Literal[False] = False

    @property
    def special(self) -> list[str]:
        """The special pieces, in the order of `SPECIAL`."""
        return [self.unk_token, self.bos_token, self.eos_token]


class TranslatorConfig(DecoderConfig):
    """The keys of an encoder and a decoder."""

    decoder_start_token: str
    add_source_bos: Literal[False]
    add_source_eos: Literal[True]

    @property
    def special(self) -> list[str]:
        return [*super().special, self.decoder_start_token]


SPECIAL = (UNK_ID, BOS_ID, EOS_ID, BOS_ID)
DECODER_VOCABULARY = "vocabulary.json"  # of a decoder alone


def import_ctranslate2() -> ModuleType:
    """Import the package CTranslate2. Raises UsageError where it is missing."""
    return runtime.import_extra("ctranslate2", "ctranslate2", "the engine ctranslate2")


def find_export(bundle: Path, name: str | None) -> Path:
    """Return the folder of the export `name` of `bundle`, or of its only export.

    Raises ArtifactError where it does not exist, UsageError where `name` is needed to choose one of several.
    """
    make = f"nmt export {bundle} --to {ENGINE}"
    folders = (bundle / EXPORTS).iterdir() if (bundle / EXPORTS).is_dir() else ()
    found = [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]
    names = sorted(folder.name for folder in found if not is_for_others(folder))
    if not names:
        raise ArtifactError(f"{bundle}: holds no export for the engine {ENGINE}", hint=f"make one: {make}")
    if name is not None and name not in names:
        hint = f"make it: {make} --name {name}"
        raise ArtifactError(f"{bundle}: holds no export {name!r}, only {', '.join(names)}", hint=hint)
    if name is None and len(names) > 1:
        raise UsageError(f"{bundle}: holds several exports: {', '.join(names)}", hint="name one of them")
    return bundle / EXPORTS / (name or names[0])


def is_for_others(folder: Path) -> bool:
    """Return whether the manifest of an export says that it is for transformers."""
    manifest = read_json(folder / MANIFEST)
    return isinstance(manifest, dict) and manifest.get("engine") == TRANSFORMERS


def open_export(folder: Path, weights: str, pieces: tuple[list[str], list[str]]) -> Export:
    """Open and verify the export in `folder` of a bundle whose weights have the SHA-256 `weights`.

    `pieces` are those of the bundle's tokenizer, by side and id. Raises ArtifactError.
    """
    again = f"make it again: nmt export {folder.parent.parent} --to {ENGINE} --name {folder.name}"

    def checked(kind: type[M], name: str, values: Json) -> M:
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            raise ArtifactError(f"{folder / name}: damaged: {first_error(error)}", hint=again) from None

    manifest = checked(ExportManifest, MANIFEST, EXPORT.read(folder, hint=again, newer_hint=f", or {again}"))
    if manifest.engine != ENGINE:
        raise ArtifactError(f"{folder}: an export for {manifest.engine!r}, not for {ENGINE}", hint=again)
    if manifest.weights != weights:
        raise ArtifactError(f"{folder}: made from other weights than {folder.parent.parent / WEIGHTS}", hint=again)
    EXPORT.verify(folder, manifest.files, hint=again)
    is_decoder = DECODER_VOCABULARY in manifest.files
    sides = ["shared"] * 2 if "shared_vocabulary.json" in manifest.files else ["source", "target"]
    names = [DECODER_VOCABULARY] * 2 if is_decoder else [f"{side}_vocabulary.json" for side in sides]
    for name in (CONFIG, "model.bin", *names):
        if name not in manifest.files:
            raise ArtifactError(f"{folder / MANIFEST}: damaged: its files do not list {name}", hint=again)
    special = checked(DecoderConfig if is_decoder else TranslatorConfig, CONFIG, read_json(folder / CONFIG)).special
    if special != [pieces[1][i] for i in SPECIAL[: len(special)]]:
        raise ArtifactError(f"{folder / CONFIG}: damaged: its special pieces are {special}", hint=again)
    for name, expected in zip(names, pieces, strict=True):
        if read_json(folder / name) != expected:
            raise ArtifactError(f"{folder / name}: does not hold the pieces of the bundle's tokenizer", hint=again)
    return Export(folder, manifest.quantization, manifest.target_limit, *pieces, manifest.alignment_layer)


@dataclass(frozen=True)
class Draft:
    """A hypothesis of CTranslate2, before its final score."""

    ids: list[int]  # pieces, without EOS
    total: float | None
    """Log-probability, EOS included; None where CTranslate2 leaves out a part, or renormalizes the probabilities."""
    cut: bool = False  # whether it was ended by the limit, not by EOS


class CTranslate2Engine:
    """One exported model; on a CPU each thread translates different rows."""

    def __init__(self, export: Export, *, device: str = "cpu", threads: int | None = None) -> None:
        """Load a verified export. Raises ArtifactError, UsageError."""
        package = import_ctranslate2()
        if device == "cuda":
            self.check_gpus()
        on_gpu = package.get_cuda_device_count() > 0 and device != "cpu"
        kind = "cuda" if on_gpu else "cpu"
        is_supported = export.quantization in package.get_supported_compute_types(kind)
        if not is_supported:
            where = "GPU" if on_gpu else "processor"
            console.warn(f"CTranslate2 cannot compute in {export.quantization} on this {where}: it takes float32")
        self.workers = 1 if on_gpu else threads or cores()
        try:
            model = (package.Generator if export.is_decoder else package.Translator)(
                str(export.folder),
                kind,
                compute_type=export.quantization if is_supported else "float32",
                # Many tasks of one thread each have a higher throughput than one task of many threads.
                inter_threads=self.workers,
                intra_threads=1,
            )
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            raise ArtifactError(f"{export.folder}: CTranslate2 cannot load it: {error}") from None
        self.model = (Decoder if export.is_decoder else EncoderDecoder)(model, export.source, export.target)
        self.compute_type: str = model.compute_type  # int8_float32 where the rest of int8 is float32
        in_int8 = not on_gpu and self.compute_type.startswith("int8")
        self.task_rows = INT8_TASK_ROWS if in_int8 else TASK_ROWS[kind]
        self.target, self.alignment_layer = export.target, export.alignment_layer
        self.ids = {piece: index for index, piece in enumerate(export.target)}
        self.target_limit, self.batch_tokens = export.target_limit, BATCH_TOKENS[kind]

    @staticmethod
    def check_gpus(count: int = 1) -> None:  # noqa: ARG004 - the engine takes one
        """Raise UsageError where CTranslate2 is missing, or cannot use a GPU."""
        if not import_ctranslate2().get_cuda_device_count():
            raise UsageError("no GPU that CTranslate2 can use on this machine", hint="take device cpu or auto")

    @classmethod
    def load(cls, paths: Sequence[Path], inference: InferenceConfig, _: InferencePrecision = "float32") -> Self:
        """Load an export of the verified bundle at `paths`, which has a type of its own.

        Raises ArtifactError, UsageError.
        """
        if len(paths) > 1:
            raise UsageError("the engine ctranslate2 takes one model", hint="an ensemble needs the native engine")
        import_ctranslate2()
        weights, tokenizer = read_json(paths[0] / CONFIG)["files"][WEIGHTS], Tokenizer.load(paths[0])
        export = open_export(find_export(paths[0], inference.export), weights, tokenizer.pieces)
        return cls(export, device=inference.device, threads=inference.threads)

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        if request.sampling is not None:
            raise UsageError("sampling needs the native engine", hint="CTranslate2 cannot draw by a seed of one's own")
        if request.edges is not None:
            raise UsageError("a glossary needs the native engine", hint="CTranslate2 asks for no phrases")
        return self._in_order(batches, lambda rows: self._start_search(rows, request))

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        return self._in_order(batches, self.model.score)

    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        """Return the attention as `Engine` says. Raises UsageError where the export has none of `layer`."""
        if isinstance(self.model, Decoder):
            raise UsageError("CTranslate2 gives no attention of a decoder alone", hint="take the engine native")
        if self.alignment_layer is None:
            raise UsageError("an export of an older nmt, which has no alignments", hint="make it again: nmt export")
        if layer not in (None, self.alignment_layer):
            problem = f"the export has the attention of decoder layer {self.alignment_layer} alone, not {layer}"
            raise UsageError(problem, hint="take that one, or the engine native")
        return self._in_order(batches, self.model.attention)

    def _in_order(
        self, batches: Iterable[list[T]], start: Callable[[list[T]], Callable[[], list[R]]]
    ) -> Iterator[list[R]]:
        """Start the tasks of `batches`, a bounded number ahead; yield the results batch by batch, in order."""
        started: deque[list[Callable[[], list[R]]]] = deque()
        for batch in batches:
            started.append([start(batch[at : at + self.task_rows]) for at in range(0, len(batch), self.task_rows)])
            while sum(map(len, started)) > 2 * self.workers:
                yield [result for finish in started.popleft() for result in finish()]
        for tasks in started:
            yield [result for finish in tasks for result in finish()]

    def _start_search(self, rows: list[Row], request: Request) -> Callable[[], list[list[Hypothesis]]]:
        """Start to translate `rows`; return a function that waits for their hypotheses."""
        limits = [row.limit(request.decoding, self.target_limit) for row in rows]
        # Without a length penalty, the first hypothesis to end ahead of all others is the best.
        quick = request.decoding.beam_size == 1 or (request.n_best == 1 and request.decoding.length_penalty == 0)
        first = self._start_drafts(rows, limits, request.decoding, quick=quick)

        def finish() -> list[list[Hypothesis]]:
            drafts = first()

            def search_again(is_wrong: Callable[[Draft, int], bool], *, quick: bool, ban: bool = False) -> None:
                groups: dict[tuple[int, frozenset[int]], list[int]] = {}
                for at, of_row in enumerate(drafts):
                    if any(is_wrong(draft, at) for draft in of_row):
                        banned = rows[at].forbidden | NEVER if ban else frozenset[int]()
                        groups.setdefault((limits[at], banned), []).append(at)
                # Only rows of the same limit together, so that a result does not depend on the rest of the task.
                for (limit, banned), indices in groups.items():
                    again = [rows[at] for at in indices]
                    finish = self._start_drafts(
                        again, [limit] * len(again), request.decoding, quick=quick, banned=banned
                    )
                    for at, of_row in zip(indices, finish(), strict=True):
                        drafts[at] = of_row

            # CTranslate2 takes one limit per call, the largest for an encoder and a decoder.
            search_again(lambda draft, at: len(draft.ids) >= limits[at], quick=quick)
            greedy = request.decoding.beam_size == 1
            if quick and not greedy:
                # A cut hypothesis lacks EOS, with which it may be less likely than one that ended earlier.
                search_again(lambda draft, _: draft.cut, quick=False)
            # Padding and BOS were no targets in training, so that a second search is hardly ever needed; nor for a
            # placeholder that the source lacks, which CTranslate2 could forbid for all rows of a call alone.
            is_banned = [(row.forbidden | NEVER).intersection for row in rows]
            search_again(lambda draft, at: bool(is_banned[at](draft.ids)), quick=greedy, ban=True)
            return self._rank(rows, drafts, request)

        return finish

    def _start_drafts(
        self,
        rows: list[Row],
        limits: list[int],
        decoding: DecodingConfig,
        *,
        quick: bool,
        banned: frozenset[int] = frozenset(),
    ) -> Callable[[], list[list[Draft]]]:
        """Start to translate `rows` within about `limits` pieces, EOS included.

        `quick` searches for the single best by log-probability; no hypothesis holds a piece in `banned`.
        """
        settings = Settings(limits, decoding, quick, [self.target[piece] for piece in sorted(banned)])
        search, least = self.model.search(rows, settings), settings.least(max(limits))
        # The probability of banned pieces goes to the others, and that of prefixes is left out.
        is_renormalized = bool(banned) or least > 1 or decoding.no_repeat_ngram > 0
        # An EOS that is banned as the first piece alone raises the totals of a row by the same amount.
        is_raised = not is_renormalized and least == 1
        empty = self.model.score([(row.ids, []) for row in rows]) if is_raised else None

        def finish() -> list[list[Draft]]:
            corrections = [correction(log_prob) for (log_prob,) in empty()] if empty else [0.0] * len(rows)
            return [
                [
                    self._draft(pieces, None if is_renormalized or row.prefix or more is None else total + more)
                    for pieces, total in found
                    if total > NOTHING
                ]
                for row, more, found in zip(rows, corrections, search(), strict=True)
            ]

        return finish

    def _draft(self, pieces: list[str], total: float | None) -> Draft:
        ids = [self.ids[piece] for piece in pieces]
        return Draft(ids[:-1], total) if ids[-1:] == [EOS_ID] else Draft(ids, None, cut=True)

    def _rank(self, rows: list[Row], drafts: list[list[Draft]], request: Request) -> list[list[Hypothesis]]:
        """Return the best drafts of each row by log-probability over the length penalty."""
        by_row = zip(rows, drafts, strict=True)
        unknown = [(row.ids, draft.ids) for row, of_row in by_row for draft in of_row if draft.total is None]
        totals = iter(map(sum, self.model.score(unknown)() if unknown else []))

        def hypothesis(draft: Draft) -> Hypothesis:
            total = next(totals) if draft.total is None else draft.total
            return Hypothesis(draft.ids, total / length_penalty(len(draft.ids) + 1, request.decoding.length_penalty))

        return [sorted(map(hypothesis, of_row), key=lambda one: -one.score)[: request.n_best] for of_row in drafts]


def correction(log_prob: float) -> float | None:
    """Return the log-probability of not ending at once, where ending has `log_prob`; None where rounding counts."""
    return math.log1p(-math.exp(log_prob)) if log_prob < math.log(0.5) else None
