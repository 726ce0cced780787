"""The tokenizer: SentencePiece models and the four special ids.

The card `tokenizer.json` beside the model files describes them and holds their SHA-256.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, cast

import sentencepiece
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmt.cards import Card
from nmt.config.section import first_error
from nmt.config.symbols import TERM_MARKS, mask_pieces, plain_tag
from nmt.config.tokenizer import Rule
from nmt.data import placeholders
from nmt.data.encoding.normalization import NormalForm, plain, single_spaces, spaced
from nmt.data.encoding.subword_regularization import Pieces, SubwordRegularizer
from nmt.data.encoding.trees import TreePieces, TreeSymbols
from nmt.data.encoding.vocabulary import Vocabulary, VocabularyProcessor
from nmt.errors import ArtifactError, DataError
from nmt.files import naming

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
FIRST_MASK_ID = 4  # SentencePiece puts the control symbols after those four
CARD = "tokenizer.json"
FORMAT = 2  # in format 1 the rule lies within the SentencePiece models, one for both sides
FORMAT_OF_TREES = 3  # whose pieces an older nmt would leave out of the text
TOKENIZER = Card(CARD, "tokenizer", FORMAT_OF_TREES, has_digest=False)
FEW_TEXTS = 4  # the most texts that are encoded without a thread, which may wait for a busy core
SPACE = "\u2581"  # the spelling of a space in a piece
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
    trees: dict[Literal["labels", "tags"], list[str]] | None = None  # both keys, or none
    user_defined_symbols: list[str] = Field(default_factory=list)
    vocabularies: dict[str, str] = Field(default_factory=dict)
    """Names of the files with the pieces by id, by model file, where those of the models do not count."""
    files: dict[str, str]

    @model_validator(mode="after")
    def has_the_keys_of_its_format(self) -> Self:
        """Raise ValueError where keys exclude each other, or one is missing."""
        if (self.format > 1) != (self.target_normalization is not None):
            raise ValueError("target_normalization is a key from format 2 on")
        if self.vocabularies and (
            self.format > 1 or self.placeholders or self.masks or self.trees or self.user_defined_symbols
        ):
            raise ValueError("vocabularies go with tags alone, in format 1")
        if self.trees is not None and len(self.trees) < 2:
            raise ValueError("trees has labels and tags")
        return self


class SentencePieceModel:
    """The tokenizer of one side: its normal form, and a SentencePiece model, which the other side may share.

    Without a normal form the model has a rule of its own, as in format 1, and symbols count wherever they stand. With
    the pieces of `trees`, its texts are trees.
    """

    def __init__(self, processor: Processor, form: NormalForm | None = None, trees: TreePieces | None = None) -> None:
        self.processor, self.form, self.trees = processor, form, trees
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
        if self.trees is not None:
            return self.trees.encode(lines, self.encode_words)
        return self._encode_texts(lines, threads, tagged=tagged)

    def encode_words(self, words: Sequence[str]) -> list[list[int]]:
        """Return the ids of each word of a tree."""
        return self._encode_texts(words, -1, tagged=False)

    def encode_inside(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text where it stands in a line with no space before it; none where they are unknown.

        They are so for models whose pieces have the ids of a vocabulary.
        """
        if self.vocabulary is not None:
            return [[] for _ in texts]
        return [cast(list[int], self._fragments.encode(self.normalize(text), out_type=int)) for text in texts]

    def _encode_texts(self, lines: Sequence[str], threads: int, *, tagged: bool) -> list[list[int]]:
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

        The result is a function of the model and the arguments, in every process and thread. A tree has one alone.
        """
        if self.trees is not None:
            return self.encode([line])[0]
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
        return self._decode(ids) if self.trees is None else self.trees.decode(ids, self._decode)

    def _decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        # Pieces of single bytes can spell any character, a line break among them.
        return [plain(self.processor.decode([int(i) for i in row])) for row in ids]

    def decode_pieces(self, pieces: Sequence[Sequence[str]]) -> list[str]:
        """Return the text of each row of pieces, always one line."""
        if self.trees is not None:
            return self.decode([[self.processor.piece_to_id(piece) for piece in row] for row in pieces])
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
        if self.trees is not None:
            return self.decode(self.encode([line]))[0]
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

    @cached_property
    def term_marks(self) -> frozenset[int]:
        """The ids of the marks of terms in the target; none where a side lacks one."""
        sides = [[side.processor.piece_to_id(mark) for mark in TERM_MARKS] for side in (self.source, self.target)]
        return frozenset() if UNK_ID in sides[0] + sides[1] else frozenset(sides[1])

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
        trees, controls = None, mask_pieces(card.masks)
        if card.trees is not None:
            symbols_of_trees = TreeSymbols(tuple(card.trees["labels"]), tuple(card.trees["tags"]))
            trees = TreePieces(symbols_of_trees, masks.stop, UNK_ID)
            controls += symbols_of_trees.pieces
        for name, model in models.items():
            wrong = [symbol for symbol in symbols if model.piece_to_id(symbol) == UNK_ID]
            wrong += [piece for i, piece in enumerate(controls, FIRST_MASK_ID) if not is_control(model, piece, i)]
            if wrong:
                raise ArtifactError(f"{folder / CARD}: damaged: {wrong[0]!r} is no piece of {name}", hint=again)
        rules = card.normalization, card.target_normalization
        forms = normal_forms(*rules, card.user_defined_symbols, card.tags, card.placeholders)
        return cls(
            SentencePieceModel(models[card.source], forms[0]),
            SentencePieceModel(models[card.target], forms[1], trees),
            normalization=card.normalization or "that of its models",
            files=[*models, *vocabularies, CARD],
            tags=card.tags,
            placeholders=card.placeholders,
            masks=masks,
        )


def is_control(model: Processor, piece: str, index: int) -> bool:
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
