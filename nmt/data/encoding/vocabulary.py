"""A vocabulary beside SentencePiece models: their pieces have its ids, and two models may share it, as in Marian."""

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from nmt.data.placeholders import split_tags
from nmt.errors import ArtifactError
from nmt.files import read_json

SPECIAL = 4  # the first pieces are padding, <unk>, BOS and EOS, whatever they are called


class Vocabulary:
    """The pieces by id, and the id of each."""

    def __init__(self, pieces: list[str], unknown: int) -> None:
        self.pieces, self.unknown = pieces, unknown
        self.ids = {piece: index for index, piece in enumerate(pieces)}

    @classmethod
    def load(cls, path: Path, unknown: int) -> "Vocabulary":
        """Read a JSON list of pieces; `unknown` is the id of what it lacks. Raises ArtifactError."""
        pieces = read_json(path)
        is_list = isinstance(pieces, list) and all(isinstance(piece, str) for piece in pieces)
        if not is_list or len(pieces) <= SPECIAL or len(set(pieces)) < len(pieces):
            raise ArtifactError(f"{path}: not a list of different pieces, or a damaged one")
        return cls(pieces, unknown)


class VocabularyProcessor:
    """A SentencePiece processor whose pieces have the ids of a vocabulary; it has the calls that nmt makes of one.

    Pieces are looked up as they are spelled, characters without a piece of the model too. `tags` are pieces at the
    start of a line alone, outside SentencePiece.
    """

    def __init__(
        self, processor: sentencepiece.SentencePieceProcessor, vocabulary: Vocabulary, tags: Sequence[str]
    ) -> None:
        self.processor, self.vocabulary, self.tags = processor, vocabulary, tags

    def encode(self, text: str | list[str], out_type: type, num_threads: int = 1) -> list[int] | list[list[int]]:
        """Return the ids of a text, or of each of a list."""
        assert out_type is int
        if isinstance(text, str):
            return self._encode([text], 1)[0]
        return self._encode(text, num_threads)

    def _encode(self, lines: list[str], threads: int) -> list[list[int]]:
        parts = [split_tags(line, self.tags) for line in lines]
        rows = self.processor.encode([rest for _, rest in parts], out_type=str, num_threads=threads)
        return [[*map(self.piece_to_id, (*head, *row))] for (head, _), row in zip(parts, rows, strict=True)]

    def normalize(self, line: str) -> str:
        tags, text = split_tags(line, self.tags)
        return "".join([*tags, self.processor.normalize(text)])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; special ones other than <unk> have none."""
        shown = [i for i in ids if i >= SPECIAL or i == self.vocabulary.unknown]
        return self.decode_pieces([self.id_to_piece(i) for i in shown])

    def decode_pieces(self, pieces: list[str]) -> str:
        return str(self.processor.decode_pieces(pieces))

    def get_piece_size(self) -> int:
        return len(self.vocabulary.pieces)

    def id_to_piece(self, index: int) -> str:
        return self.vocabulary.pieces[index]

    def piece_to_id(self, piece: str) -> int:
        return self.vocabulary.ids.get(piece, self.vocabulary.unknown)

    def is_byte(self, index: int) -> bool:
        return bool(self.processor.is_byte(self.processor.piece_to_id(self.id_to_piece(index))))

    def is_control(self, index: int) -> bool:
        return index < SPECIAL and index != self.vocabulary.unknown

    def serialized_model_proto(self) -> bytes:
        """Return the model file, whose pieces have other ids."""
        return bytes(self.processor.serialized_model_proto())
