"""The tokenizer: SentencePiece models, their training, and the four special ids.

The card `tokenizer.json` beside the model files describes them and holds their SHA-256. On more than a few lines
SentencePiece trains in a child process, for while it computes nothing else runs in its process, not even Ctrl-C.
"""

import io
import math
import random
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self, cast

import sentencepiece
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmt import console
from nmt.cards import Card
from nmt.config.section import first_error
from nmt.config.symbols import mask_pieces, plain_tag
from nmt.config.tokenizer import Rule, TokenizerConfig
from nmt.data import placeholders
from nmt.data.encoding.normalization import IDENTITY, NormalForm, plain, single_spaces, spaced
from nmt.data.encoding.subword_regularization import Pieces, SubwordRegularizer
from nmt.data.encoding.vocabulary import Vocabulary, VocabularyProcessor
from nmt.errors import ArtifactError, DataError
from nmt.files import digest, naming
from nmt.processes import Child, ChildDiedError

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
FIRST_MASK_ID = 4  # SentencePiece puts the control symbols after those four
CARD = "tokenizer.json"
FORMAT = 2  # in format 1 the rule lies within the SentencePiece models, one for both sides
TOKENIZER = Card(CARD, "tokenizer", FORMAT, has_digest=False)
TRAINING_THREADS = 4  # a constant, whatever the cores of the machine: the pieces of a unigram model can depend on it
FEW_TEXTS = 4  # the most texts that are encoded without a thread, which may wait for a busy core
SPACE = "\u2581"  # the spelling of a space in a piece
FEW_LINES = 2000  # the most lines that this process trains on itself, in a second or so
Processor = sentencepiece.SentencePieceProcessor | VocabularyProcessor
_KEEP_SPACES = b"\x1a\x04\x18\x00\x20\x00"
"""The end of a model file, in which a later field of a protobuf message counts: add no space and remove none."""


class TokenizerCard(BaseModel):
    """The keys of the card that count; formats without the rule of the target have one rule, within the models."""

    model_config = ConfigDict(extra="ignore", strict=True)
    format: int
    source: str  # names of the model files, the same where joint
    target: str
    normalization: Rule | None  # none where models that were not trained by nmt have other rules
    target_normalization: Rule | None = None
    tags: list[Annotated[str, AfterValidator(plain_tag)]] = Field(default_factory=list)
    placeholders: Annotated[int, Field(ge=0, le=10_000)] = 0
    masks: Annotated[int, Field(ge=0, le=1000)] = 0
    user_defined_symbols: list[str] = Field(default_factory=list)
    vocabularies: dict[str, str] = Field(default_factory=dict)
    """Names of the files with the pieces by id, by model file, where those of the models do not count."""
    files: dict[str, str]

    @model_validator(mode="after")
    def has_the_keys_of_its_format(self) -> Self:
        if (self.format > 1) != (self.target_normalization is not None):
            raise ValueError("target_normalization is a key from format 2 on")
        if self.vocabularies and (self.format > 1 or self.placeholders or self.masks or self.user_defined_symbols):
            raise ValueError("vocabularies go with tags alone, in format 1")
        return self


class SentencePieceModel:
    """The tokenizer of one side: its normal form, and a SentencePiece model, which the other side may share.

    Without a normal form the model has a rule of its own, as in format 1, and symbols count wherever they stand.
    """

    def __init__(self, processor: Processor, form: NormalForm | None = None) -> None:
        self.processor, self.form = processor, form
        self.vocabulary: Vocabulary | None = getattr(processor, "vocabulary", None)
        self.size: int = processor.get_piece_size()

    @classmethod
    def load(cls, path: Path, vocabulary: Vocabulary | None = None, tags: Sequence[str] = ()) -> "SentencePieceModel":
        """Load a model file, whose pieces may have the ids of a `vocabulary` and `tags` outside the model.

        Raises ArtifactError where it is missing or damaged, or its special ids are others; OSError where it cannot be
        read.
        """
        try:
            with naming(path):
                content = path.read_bytes()
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: no such tokenizer: {error.strerror}") from None
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=content)
            for index in range(processor.get_piece_size()):
                processor.id_to_piece(index)
        except (RuntimeError, UnicodeDecodeError):  # the latter for a piece that is not UTF-8
            raise ArtifactError(f"{path}: not a SentencePiece model, or a damaged one") from None
        if vocabulary is not None:
            return cls(VocabularyProcessor(processor, vocabulary, tags))
        ids = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        if ids != (PAD_ID, UNK_ID, BOS_ID, EOS_ID):
            problem = f"{path}: its ids of <pad>, <unk>, <s> and </s> are {ids}, not {(PAD_ID, UNK_ID, BOS_ID, EOS_ID)}"
            raise ArtifactError(problem, hint="train the tokenizer with nmt")
        return cls(processor)

    def encode(self, lines: Sequence[str], *, threads: int = -1, tagged: bool = True) -> list[list[int]]:
        """Return the ids of each line, without BOS and EOS, computed by `threads` threads; -1 means one a core.

        Without `tagged`, the lines are parts of a line, and a tag at their start is text.
        """
        if self.form is None:
            return self._encode([plain(line) for line in lines], threads)
        parts = [self.form.parts(line, tagged=tagged) for line in lines]
        rows = self._encode(["".join(each) for each in parts], threads)
        for index, each in enumerate(parts):
            if "" in each[1::2]:
                rows[index] = self._encode_fragments(each)
        return rows

    def _encode(self, texts: list[str], threads: int) -> list[list[int]]:
        if len(texts) <= FEW_TEXTS:
            return [cast(list[int], self.processor.encode(text, out_type=int)) for text in texts]
        return cast(list[list[int]], self.processor.encode(texts, out_type=int, num_threads=threads))

    def _encode_fragments(self, parts: Sequence[str]) -> list[int]:
        """Return the ids of `parts` that hold boundaries: each part is encoded by itself."""
        ids: list[int] = []
        for index, part in enumerate(spaced(parts)):
            if part:
                ids += [self.processor.piece_to_id(part)] if index % 2 else self._fragments.encode(part, out_type=int)
        return ids

    @cached_property
    def _fragments(self) -> sentencepiece.SentencePieceProcessor:
        """The model, which here adds and removes no spaces."""
        model = self.processor.serialized_model_proto() + _KEEP_SPACES
        return sentencepiece.SentencePieceProcessor(model_proto=model)

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Return the ids of a random segmentation of `line`; `alpha` as in `tokenizer.sampling`, above 0 and below 1.

        The result is a function of the model and the arguments, in every process and thread.
        """
        if self.form is None:
            return self._regularizer.sample(self._regularizer.split(self.processor.normalize(plain(line))), alpha, seed)
        parts = [part.replace(" ", SPACE) for part in spaced(self.form.parts(line))]
        return self._regularizer.sample(parts, alpha, seed)

    @property
    def is_of_words(self) -> bool:
        """Whether each word between spaces is a piece, or unknown."""
        return Pieces.read(self.processor.serialized_model_proto(), UNK_ID).is_word

    @cached_property
    def _regularizer(self) -> SubwordRegularizer:
        pieces = Pieces.read(self.processor.serialized_model_proto(), UNK_ID)
        if isinstance(self.processor, VocabularyProcessor):
            pieces.renumber(self.processor.piece_to_id, self.processor.tags)
        return SubwordRegularizer(pieces)

    def encode_pieces(self, lines: Sequence[str]) -> list[list[str]]:
        return [self.pieces(ids) for ids in self.encode(lines)]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids, always one line; special ids other than <unk> have no text."""
        # Pieces of single bytes can spell any character, a line break among them.
        return [plain(self.processor.decode([int(i) for i in row])) for row in ids]

    def decode_pieces(self, pieces: Sequence[Sequence[str]]) -> list[str]:
        """Return the text of each row of pieces, always one line."""
        return [plain(self.processor.decode_pieces(list(row))) if row else "" for row in pieces]

    def parse_ids(self, words: Sequence[str], line: int) -> list[int]:
        """Read ids written as decimal numbers. Raises DataError, which names the number of the line."""
        for word in words:
            if not (word.isascii() and word.isdigit() and int(word) < self.size):
                raise DataError(f"line {line}: {word!r} is not an id of this tokenizer: 0 to {self.size - 1}")
        return [int(word) for word in words]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self.processor.id_to_piece(int(i)) for i in ids]

    def normalize(self, line: str) -> str:
        """Return the normalised line, which equals decode(encode(line))."""
        text = plain(line) if self.form is None else "".join(self.form.parts(line))
        return plain(self.processor.normalize(text)).removeprefix(" ")

    def changes(self, line: str) -> bool:
        """Return whether normalisation changes more of `line` than its spaces."""
        return single_spaces(self.normalize(line)) != single_spaces(line)


class Tokenizer:
    """The tokenizers of both sides; they are one object where `joint`."""

    def __init__(
        self,
        source: SentencePieceModel,
        target: SentencePieceModel,
        *,
        normalization: str,
        files: list[str],
        tags: Sequence[str] = (),
        placeholders: int = 0,
        masks: Sequence[int] = (),
    ) -> None:
        self.source, self.target, self.joint = source, target, source.processor is target.processor
        if source.vocabulary is not None:
            self.joint = source.vocabulary is target.vocabulary
        self.source_size, self.target_size = source.size, target.size
        self.normalization = normalization  # the rule of the source, and of the target where it has no normal form
        self.files = files  # names of all files that `load` needs
        self.tags = list(tags)  # the tags of the corpora it was trained for, each one piece
        self.placeholders = placeholders  # the number of placeholders, each one piece; see `nmt.data.placeholders`
        self.masks = list(masks)  # the ids, on either side, of the pieces of `tokenizer.masks`

    @property
    def pieces(self) -> tuple[list[str], list[str]]:
        """The pieces of the source and of the target by id."""
        return self.source.pieces(range(self.source_size)), self.target.pieces(range(self.target_size))

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Load the tokenizer that `train` wrote to `folder`, and verify its files. Raises ArtifactError."""
        again = "copy the folder again or train it again"
        try:
            card = TokenizerCard.model_validate(TOKENIZER.read(folder, hint="train it again"))
        except ValidationError as error:
            raise ArtifactError(f"{folder / CARD}: damaged: {first_error(error)}", hint="train it again") from None
        names = [card.source, card.target]
        ids_of = card.vocabularies
        TOKENIZER.verify(folder, {name: card.files.get(name) for name in (*names, *ids_of.values())}, hint=again)
        vocabularies = {name: Vocabulary.load(folder / name, UNK_ID) for name in dict.fromkeys(ids_of.values())}
        models = {
            name: SentencePieceModel.load(folder / name, vocabularies.get(ids_of.get(name, "")), card.tags).processor
            for name in names
        }
        symbols = [*card.user_defined_symbols, *card.tags, *placeholders.symbols(card.placeholders)]
        masks = range(FIRST_MASK_ID, FIRST_MASK_ID + card.masks)
        for name, model in models.items():
            wrong = [symbol for symbol in symbols if model.piece_to_id(symbol) == UNK_ID]
            wrong += [
                mask for i, mask in zip(masks, mask_pieces(card.masks), strict=True) if not is_mask(model, mask, i)
            ]
            if wrong:
                raise ArtifactError(f"{folder / CARD}: damaged: {wrong[0]!r} is no piece of {name}", hint=again)
        rules = card.normalization, card.target_normalization
        forms = normal_forms(*rules, card.user_defined_symbols, card.tags, card.placeholders)
        source, target = (SentencePieceModel(models[name], form) for name, form in zip(names, forms, strict=True))
        return cls(
            source,
            target,
            normalization=card.normalization or "that of its models",
            files=[*models, *vocabularies, CARD],
            tags=card.tags,
            placeholders=card.placeholders,
            masks=masks,
        )


def is_mask(model: Processor, piece: str, index: int) -> bool:
    """Return whether `index` is the id of `piece`, and the piece one that no text has."""
    return bool(model.piece_to_id(piece) == index and model.is_control(index))


def normal_forms(
    source: Rule | None, target: Rule | None, symbols: Sequence[str], tags: Sequence[str], placeholder_count: int
) -> tuple[NormalForm, NormalForm] | tuple[None, None]:
    """Return the normal forms of source and target under their rules; None without a rule of the target."""
    if source is None or target is None:
        return None, None
    symbols = [*symbols, *placeholders.symbols(placeholder_count)]
    return (
        NormalForm(source, is_source=True, symbols=symbols, tags=tags),
        NormalForm(target, is_source=False, symbols=symbols, tags=tags),
    )


def train(
    sources: Iterable[str],
    targets: Iterable[str],
    config: TokenizerConfig,
    folder: Path,
    *,
    seed: int,
    tags: Sequence[str] = (),
) -> dict[str, dict[str, int]]:
    """Train on both sides; write the model files and `tokenizer.json` to `folder`, which must exist.

    A joint model is trained on the same number of lines of either side. The symbols of `config`, `tags`, placeholders
    and masks become pieces. Returns the counts of lines read and trained on, by side. The same text, configuration
    and seed give the same bytes. Raises DataError where SentencePiece refuses the text or the configuration.
    """
    size, own = config.sample_sentences, config.user_defined_symbols
    samples: dict[str, list[str]] = {}
    counts: dict[str, dict[str, int]] = {}
    shares = (math.ceil(size / 2), max(size // 2, 1)) if config.joint else (size, size)
    forms = normal_forms(config.normalization, config.target_normalization, own, tags, config.placeholders)
    for side, lines, share, form in zip(("source", "target"), (sources, targets), shares, forms, strict=True):
        drawn, read = sample(lines, share, seed=seed)
        samples[side] = ["".join(form.parts(line)) for line in drawn] if form else drawn
        counts[side] = {"lines": read, "trained_on": len(drawn)}
    if config.joint:
        texts = {"tokenizer.model": ("both sides", [*samples["source"], *samples["target"]])}
        names = dict.fromkeys(samples, "tokenizer.model")
    else:
        texts = {f"{side}.model": (f"the {side} side", lines) for side, lines in samples.items()}
        names = {side: f"{side}.model" for side in samples}
    more = dict.fromkeys([*tags, *placeholders.symbols(config.placeholders)])
    symbols = [*own, *(symbol for symbol in more if symbol not in own)]  # each once, and never split
    models = {name: _train_model(lines, config, symbols, side, folder) for name, (side, lines) in texts.items()}
    for name, content in models.items():
        (folder / name).write_bytes(content)
    with_forms = {"target_normalization": config.target_normalization, "user_defined_symbols": own}
    card = {
        "format": FORMAT if forms[1] else 1,
        **names,
        "joint": config.joint,
        "model_type": config.model_type,
        "normalization": config.normalization,
        **(with_forms if forms[1] else {}),
        "vocab_size": config.vocab_size,
        "tags": list(dict.fromkeys(tags)),
        "placeholders": config.placeholders,
        **({"masks": config.masks} if config.masks else {}),
        "files": {name: digest(content) for name, content in models.items()},
    }
    TOKENIZER.write(folder, card)
    return counts


def sample(lines: Iterable[str], size: int, *, seed: int) -> tuple[list[str], int]:
    """Draw at most `size` of the lines, each with the same probability; return them and the number of all lines.

    Algorithm L of Li 1994, which draws a random number for each line kept, not for each line read.
    """
    rng = random.Random(seed)
    kept: list[str] = []
    number, following, log_weight = 0, 0, 0.0
    for number, line in enumerate(lines, 1):
        if len(kept) < size:
            kept.append(line)
        elif number == following:
            kept[rng.randrange(size)] = line
        if len(kept) == size and number >= following:
            log_weight -= rng.expovariate(size)
            following = number + 1 + math.floor(rng.expovariate(1) / -math.log(-math.expm1(log_weight)))
    return kept, number


def _train_model(lines: list[str], config: TokenizerConfig, symbols: list[str], side: str, folder: Path) -> bytes:
    """Train one model, on many lines in a child process with a temporary file in `folder`."""
    # SentencePiece skips lines with U+2585, by which it marks unknown characters in training.
    lines = [text for line in lines if (text := plain(line).replace("\u2585", " ").strip())]
    if not lines:
        raise DataError(f"no text to train a tokenizer on: {side} blank", hint="check data.train and cleaning")
    try:
        if len(lines) <= FEW_LINES:
            content = _fit(lines, config, symbols)
        else:
            content = _fit_apart(lines, config, symbols, side, folder)
    except RuntimeError as error:
        raise _explain(str(error), config, side) from None
    size = SentencePieceModel(sentencepiece.SentencePieceProcessor(model_proto=content)).size
    if size < config.vocab_size and not config.hard_vocab_limit:
        console.log(f"tokenizer: the text of {side} has no more than {size:,} pieces")
    elif size != config.vocab_size:
        problem = f"tokenizer.vocab_size = {config.vocab_size}, but SentencePiece made {size} pieces of {side}"
        raise DataError(problem, hint=f"set tokenizer.vocab_size = {size}")
    return content


def _fit(lines: Iterable[str], config: TokenizerConfig, symbols: list[str]) -> bytes:
    """Train SentencePiece with its log off; return the model. Raises RuntimeError where it refuses."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=config.model_type,
        vocab_size=config.vocab_size,
        hard_vocab_limit=config.hard_vocab_limit,
        character_coverage=config.character_coverage,
        byte_fallback=config.byte_fallback,
        normalization_rule_name=config.normalization if config.target_normalization is None else IDENTITY,
        user_defined_symbols=symbols,
        control_symbols=config.mask_pieces,
        num_threads=TRAINING_THREADS,
        pad_id=PAD_ID,
        unk_id=UNK_ID,
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        # In bytes, the maximum of SentencePiece; by default it skips lines over 4192.
        max_sentence_length=2**30,
        minloglevel=2,
    )
    return model.getvalue()


def _fit_apart(lines: Sequence[str], config: TokenizerConfig, symbols: list[str], side: str, folder: Path) -> bytes:
    """Do what `_fit` does in a child process, and show progress meanwhile.

    The text reaches the child by an unnamed file in `folder`. Raises RuntimeError as `_fit` does, DataError where the
    child dies.
    """
    title = f"tokenizer: training on {len(lines):,} lines of {side}"
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.writelines(f"{line}\n".encode() for line in lines)
        file.seek(0)
        child = Child(file.fileno(), files=[file.fileno()])
    with child, console.Progress(title, None, unit="s") as progress:
        progress.log(title)
        child.call(_fit_file, config, symbols)
        while not child.is_ready(0.2):
            progress.update(round(time.monotonic() - began))
        try:
            model = child.receive().result()
        except ChildDiedError as death:
            raise DataError(
                f"the process that trains the tokenizer on {len(lines):,} lines has ended: {death}",
                hint="does it need more memory than there is? lower tokenizer.sample_sentences",
            ) from None
    console.log(f"tokenizer: {config.vocab_size:,} pieces of {side} in {console.duration(time.monotonic() - began)}")
    return cast(bytes, model)


def _fit_file(file: int, config: TokenizerConfig, symbols: list[str]) -> bytes:
    with open(file, encoding="utf-8", newline="\n") as text:
        return _fit((line.removesuffix("\n") for line in text), config, symbols)


def _explain(message: str, config: TokenizerConfig, side: str) -> DataError:
    """Turn SentencePiece's message on a failed training into an error that names the knob."""
    size = f"tokenizer.vocab_size = {config.vocab_size}"
    if match := re.search(r"Vocabulary size too high.* <= (\d+)", message):
        hint = f"lower tokenizer.vocab_size to {match[1]}, or set tokenizer.hard_vocab_limit = false"
        return DataError(f"{size} is more than the text of {side} allows, {match[1]} pieces", hint=hint)
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return DataError(
            f"{size} is too small for {side}: its characters and the special pieces alone are {match[1]}",
            hint=f"raise tokenizer.vocab_size above {match[1]}, or lower tokenizer.character_coverage",
        )
    return DataError(f"SentencePiece cannot train on {side}: {message.removeprefix('INTERNAL: ').strip()}")
