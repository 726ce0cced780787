"""A folder with a Marian model in Hugging Face's layout, as OPUS-MT's are: its configuration and its vocabularies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.config.section import first_error, shown
from nmt.data.encoding.subword_regularization import rule_of
from nmt.data.encoding.tokenizer import TOKENIZER, UNK_ID, SentencePieceModel
from nmt.data.encoding.vocabulary import Vocabulary
from nmt.errors import ArtifactError
from nmt.files import JsonObject, digest_file, is_missing, parse_json, write_json

CONFIG, GENERATION, TOKENIZER_CONFIG = "config.json", "generation_config.json", "tokenizer_config.json"
VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
MODELS = {"source": "source.spm", "target": "target.spm"}
NEEDED = (CONFIG, TOKENIZER_CONFIG, VOCABULARY, *MODELS.values())
OPTIONAL = (GENERATION, TARGET_VOCABULARY, "README.md")
PADDING, UNKNOWN, BEGINNING, END = "<pad>", "<unk>", "<s>", "</s>"
ACTIVATIONS = {"swish": "silu", "silu": "silu", "relu": "relu", "gelu": "gelu"}
IS_OTHER = "the layout is that of Helsinki-NLP's opus-mt models"
Count = Annotated[int, Field(ge=0, le=2**24)]
Size = Annotated[int, Field(ge=1, le=2**24)]
M = TypeVar("M", bound=BaseModel)


class Values(BaseModel):
    """Keys of a file of Hugging Face's that count; others do not change what a model computes."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class MarianConfig(Values):
    """`config.json`; the defaults are those of transformers."""

    vocab_size: Size
    decoder_vocab_size: Size | None = None
    d_model: Size
    encoder_layers: Size
    decoder_layers: Size
    encoder_attention_heads: Size
    decoder_attention_heads: Size
    encoder_ffn_dim: Size
    decoder_ffn_dim: Size
    activation_function: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    max_position_embeddings: Size = 1024
    decoder_start_token_id: Count
    pad_token_id: Count
    eos_token_id: Count
    scale_embedding: bool = False
    share_encoder_decoder_embeddings: bool = True
    tie_word_embeddings: bool = True
    static_position_embeddings: bool = True
    normalize_embedding: bool = False
    normalize_before: bool = False
    add_final_layer_norm: bool = False

    @property
    def target_size(self) -> int:
        """The pieces of the target."""
        own = None if self.share_encoder_decoder_embeddings else self.decoder_vocab_size
        return own or self.vocab_size

    def differing(self) -> str | None:
        """Return a key that says that the model is none of nmt's."""
        for key in ("normalize_embedding", "normalize_before", "add_final_layer_norm"):
            if getattr(self, key):
                return f"{key} = true"
        if not self.static_position_embeddings:
            return "static_position_embeddings = false"
        if self.activation_function not in ACTIVATIONS:
            return f"activation_function = {shown(self.activation_function)}"
        for key in ("attention_heads", "ffn_dim"):
            first, second = (getattr(self, f"{side}_{key}") for side in ("encoder", "decoder"))
            if first != second:
                return f"encoder_{key} = {first}, decoder_{key} = {second}"
        return None


class Generation(Values):
    """`generation_config.json`, or the same keys in `config.json`."""

    num_beams: Annotated[int, Field(ge=1, le=1000)] | None = None
    length_penalty: float | None = None
    no_repeat_ngram_size: Count | None = None
    bad_words_ids: list[list[int]] | None = None

    def decoding(self) -> DecodingConfig:
        """Return the settings of nmt's search that come nearest."""
        penalty = 1.0 if self.length_penalty is None else min(max(self.length_penalty, 0.0), 2.0)
        own = DecodingConfig(length_penalty=penalty, no_repeat_ngram=self.no_repeat_ngram_size or 0)
        return own.model_copy(update={"beam_size": self.num_beams}) if self.num_beams else own


class TokenizerConfig(Values):
    """`tokenizer_config.json`."""

    source_lang: str | None = None
    target_lang: str | None = None
    separate_vocabs: bool = False
    sp_model_kwargs: JsonObject | None = None


@dataclass(frozen=True)
class Side:
    """The vocabulary of a side: nmt's special pieces first, then the other pieces in the order of their ids."""

    pieces: list[str]
    order: list[int]  # the id there of each piece


@dataclass(frozen=True)
class MarianFolder:
    """A folder, read and checked but for its weights."""

    path: Path
    config: MarianConfig
    generation: Generation
    tokenizer: TokenizerConfig
    source: Side
    target: Side  # the same object where there is one vocabulary

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the folder at `path`. Raises ArtifactError where it holds no Marian model that nmt can compute."""
        if not path.is_dir():
            raise ArtifactError(f"{path}: no such folder", hint="name a folder, or a model of the Hub, OWNER/NAME")
        values = read_object(path / CONFIG)
        if (kind := values.get("model_type")) != "marian":
            raise ArtifactError(f"{path / CONFIG}: model_type = {shown(kind)}, not 'marian'", hint=IS_OTHER)
        if missing := [name for name in NEEDED if is_missing(path / name)]:
            raise ArtifactError(f"{path / missing[0]}: missing", hint=IS_OTHER)
        config = validated(MarianConfig, path / CONFIG, values)
        if odd := config.differing():
            raise ArtifactError(f"{path / CONFIG}: {odd}: nmt has no such model")
        later = {} if is_missing(path / GENERATION) else read_object(path / GENERATION)
        generation = validated(Generation, path / GENERATION, {**values, **later})
        tokenizer = validated(TokenizerConfig, path / TOKENIZER_CONFIG, read_object(path / TOKENIZER_CONFIG))
        if kwargs := tokenizer.sp_model_kwargs:
            raise ArtifactError(f"{path / TOKENIZER_CONFIG}: sp_model_kwargs = {shown(kwargs)}: nmt knows none")
        return cls(path, config, generation, tokenizer, *sides(path, config, tokenizer))

    @property
    def is_joint(self) -> bool:
        return self.source is self.target

    @property
    def tied(self) -> str:
        """The value of `model.tied_embeddings`: without scaling the embeddings are not the output weights."""
        if not (self.config.tie_word_embeddings and self.config.scale_embedding):
            return "none"
        return "all" if self.config.share_encoder_decoder_embeddings else "target"

    @property
    def model(self) -> ModelConfig:
        """The section [model] of nmt. Raises ArtifactError where a value is out of its bounds."""
        config = self.config
        try:
            return ModelConfig.model_validate(
                {
                    "d_model": config.d_model,
                    "heads": config.encoder_attention_heads,
                    "ffn": config.encoder_ffn_dim,
                    "activation": ACTIVATIONS[config.activation_function],
                    "encoder_layers": config.encoder_layers,
                    "decoder_layers": config.decoder_layers,
                    "dropout": config.dropout,
                    "attention_dropout": config.attention_dropout,
                    "activation_dropout": config.activation_dropout,
                    "tied_embeddings": self.tied,
                    "output_bias": True,
                    "max_length": config.max_position_embeddings,
                }
            )
        except ValidationError as error:
            raise ArtifactError(f"{self.path / CONFIG}: model.{first_error(error)}") from None

    @property
    def tags(self) -> list[str]:
        """The pieces that name a target language at the start of a source."""
        if self.tokenizer.separate_vocabs:  # as in transformers
            return []
        return [piece for piece in self.source.pieces if piece.startswith(">>") and piece.endswith("<<")]

    def forbidden(self) -> list[str]:
        """Return the pieces that a search must not write there, and may here."""
        known = {*self.target.order[:1], *self.target.order[2:3]}
        banned = [ids for ids in self.generation.bad_words_ids or [] if not (len(ids) == 1 and ids[0] in known)]
        return [" ".join(map(str, ids)) for ids in banned]

    def write_tokenizer(self, folder: Path) -> None:
        """Write nmt's tokenizer to `folder`: the same models, and the vocabulary. Raises ArtifactError."""
        names = ["vocabulary.json"] * 2 if self.is_joint else ["source_vocabulary.json", "target_vocabulary.json"]
        rules, ids_of = [], {}
        for (side, file), name in zip(MODELS.items(), names, strict=True):
            pieces = (self.source if side == "source" else self.target).pieces
            model = SentencePieceModel.load(self.path / file, Vocabulary(pieces, UNK_ID))
            content = model.processor.serialized_model_proto()
            (folder / f"{side}.model").write_bytes(content)
            write_json(folder / name, pieces)
            rules.append(rule_of(content))
            ids_of[f"{side}.model"] = name
        card = {
            "format": 1,
            **{side: f"{side}.model" for side in MODELS},
            "joint": self.is_joint,
            "normalization": rules[0] if rules[0] == rules[1] else None,
            "tags": self.tags,
            "vocabularies": ids_of,
            "files": {name: digest_file(folder / name) for name in (*ids_of, *dict.fromkeys(names))},
        }
        TOKENIZER.write(folder, card)


def read_object(path: Path) -> JsonObject:
    """Read a JSON object. Raises ArtifactError where the file is missing or damaged."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing", hint=IS_OTHER) from None
    except ValueError as error:
        raise ArtifactError(f"{path}: no JSON: {error}") from None
    if not isinstance(values, dict):
        raise ArtifactError(f"{path}: not an object")
    return values


def validated(kind: type[M], path: Path, values: JsonObject) -> M:
    """Return the `values` of `path`. Raises ArtifactError where one is missing or out of its bounds."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {first_error(error)}") from None


def sides(path: Path, config: MarianConfig, tokenizer: TokenizerConfig) -> tuple[Side, Side]:
    """Read the vocabularies of source and target, one object where they are one. Raises ArtifactError."""
    padding, end, start = config.pad_token_id, config.eos_token_id, config.decoder_start_token_id
    vocabulary = read_vocabulary(path / VOCABULARY, config.vocab_size)
    if not tokenizer.separate_vocabs:
        if config.target_size != config.vocab_size:
            problem = f"vocab_size = {config.vocab_size}, decoder_vocab_size = {config.target_size}, and one vocabulary"
            raise ArtifactError(f"{path / CONFIG}: {problem}")
        one = side_of(path / VOCABULARY, vocabulary, padding, end, start)
        return one, one
    if config.share_encoder_decoder_embeddings:
        raise ArtifactError(f"{path / CONFIG}: share_encoder_decoder_embeddings = true, with separate vocabularies")
    own = [vocabulary.get(piece, -1) for piece in (PADDING, END, PADDING)]
    target = read_vocabulary(path / TARGET_VOCABULARY, config.target_size)
    return (
        side_of(path / VOCABULARY, vocabulary, *own),
        side_of(path / TARGET_VOCABULARY, target, padding, end, start),
    )


def read_vocabulary(path: Path, size: int) -> dict[str, int]:
    """Read the ids of `size` pieces. Raises ArtifactError where they are not 0 to `size` - 1, each once."""
    ids = read_object(path)
    numbers = {number for number in ids.values() if type(number) is int}
    if holes := sorted({*range(size)} - numbers):
        raise ArtifactError(f"{path}: no piece has the id {holes[0]}, of {size:,} that {CONFIG} says")
    if len(ids) != size:
        raise ArtifactError(f"{path}: {len(ids):,} pieces, and {CONFIG} says {size:,}")
    return ids


def side_of(path: Path, ids: dict[str, int], padding: int, end: int, start: int) -> Side:
    """Return the vocabulary `ids` of a side in nmt's order, `start` a second time as BOS. Raises ArtifactError."""
    for piece, wanted in ((PADDING, padding), (END, end), (UNKNOWN, ids.get(UNKNOWN, -1))):
        if ids.get(piece, -1) != wanted or wanted < 0:
            raise ArtifactError(f"{path}: the id of {piece} is {ids.get(piece)}, not {wanted} as {CONFIG} says")
    if start >= len(ids):
        raise ArtifactError(f"{path}: no piece has the id {start}, which is decoder_start_token_id")
    special = [padding, ids[UNKNOWN], start, end]
    names = {number: piece for piece, number in ids.items()}
    others = [number for number in range(len(ids)) if number not in (padding, ids[UNKNOWN], end)]
    bos = BEGINNING
    while bos in ids:
        bos = f"<{bos}>"
    return Side([PADDING, UNKNOWN, bos, END, *(names[number] for number in others)], [*special, *others])
