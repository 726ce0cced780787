"""A tokenizer of the package `tokenizers` that gives the ids of a bundle's; importing it needs that package.

transformers' classes for SentencePiece models lose what a normal form, byte fallback and symbols do, so the steps are
made here, one by one. The package's own step for the rules of SentencePiece is used for four-byte characters alone: of
a letter and its mark, together shorter than six bytes, it takes the letter for both.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, count

import sentencepiece
from tokenizers import AddedToken, Regex
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.decoders import ByteFallback, Decoder, Fuse, Strip
from tokenizers.decoders import Replace as ReplaceToken
from tokenizers.decoders import Sequence as Decoders
from tokenizers.models import BPE, Unigram
from tokenizers.normalizers import NFC, NFKC, Lowercase, Normalizer, Precompiled, Prepend, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import TemplateProcessing

from nmt.data.encoding import normalization
from nmt.data.encoding.normalization import IDENTITY, INVISIBLE, NormalForm, plain
from nmt.data.encoding.subword_regularization import Pieces, message_fields
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPACE, UNK_ID, SentencePieceModel, Tokenizer
from nmt.exporting.tokenizers import PLANES

NOT_TEXT = Regex(r"[\n\r\x0b\f\x1c-\x1e\x{85}\x{2028}\x{2029}\x00\x{2581}]")  # as in nmt.data.encoding.normalization
UNKNOWN = f"{SPACE}\u2047{SPACE}"  # SentencePiece's text of <unk>, whose spaces `Strip` leaves
NEVER = -1000.0  # score of pieces that no text has
PRIVATE = 0xF0000  # first code point of the private characters that stand for symbols
LONG = 4  # bytes in UTF-8 of the characters that `Precompiled` takes
MOST_TAGS = 2  # tags at the start of a line that are taken for tags
CHARSMAP = 2  # number of the field of a NormalizerSpec with its compiled rules


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of an export by id: those of the target, and where the sides have models of their own, the source's.

    A private character stands for each symbol, so that it is one token to every kind of model.
    """

    tokens: list[str]
    offset: int  # id of the source's first token
    other: str  # private: begins the tokens that the source must not be split into
    special: list[str]  # <pad>, <s>, </s> and masks, which have no text, of both sides
    symbols: dict[str, str]  # private characters of the symbols
    kept: dict[str, str] = field(default_factory=dict)  # private characters of text that the rule would change again


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Return the tokens that an export of `tokenizer` has."""
    source, target = tokenizer.pieces
    used = set("".join([*source, *target]))
    free = (chr(code) for code in count(PRIVATE) if chr(code) not in used)
    other = next(free)
    symbols = {symbol: next(free) for symbol in symbols_of(tokenizer.source)}
    source, target = ([symbols.get(piece, piece) for piece in side] for side in (source, target))
    kept = {text: next(free) for text in unstable(tokenizer.normalization)}
    controls = [PAD_ID, BOS_ID, EOS_ID, *tokenizer.masks]
    special = [target[i] for i in controls]
    if tokenizer.joint:
        return Vocabulary(target, 0, other, special, symbols, kept)
    first = EOS_ID + 1
    target[first:] = [other + token for token in target[first:]]
    source[:first] = [other + token for token in source[:first]]
    special = [side[i] for side in (target, source) for i in controls]
    return Vocabulary([*target, *source], len(target), other, special, symbols, kept)


def symbols_of(side: SentencePieceModel) -> list[str]:
    """Return the symbols of a model, the longest first: tags, placeholders and symbols of the user."""
    return sorted(pieces_of(side).symbols, key=lambda symbol: (-len(symbol), symbol))


def pieces_of(side: SentencePieceModel) -> Pieces:
    return Pieces.read(side.processor.serialized_model_proto(), UNK_ID)


def fast_tokenizer(tokenizer: Tokenizer, vocab: Vocabulary) -> FastTokenizer:
    """Return a tokenizer that encodes text as the source of `tokenizer` does, EOS added, and decodes as its target."""
    pieces = pieces_of(tokenizer.source)
    form = tokenizer.source.form or NormalForm(tokenizer.normalization, is_source=True)
    fast = FastTokenizer(model(pieces, vocab))
    fast.normalizer = Normalizers(list(normalizers(form, tokenizer.tags, vocab)))
    fast.pre_tokenizer = PreTokenizers(list(pre_tokenizers(pieces, vocab)))
    eos = vocab.tokens[vocab.offset + EOS_ID]
    fast.post_processor = TemplateProcessing(
        single=f"$A {eos}", pair=f"$A {eos} $B {eos}", special_tokens=[(eos, vocab.offset + EOS_ID)]
    )
    fast.decoder = Decoders(list(decoders(vocab)))
    fast.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in vocab.special])
    return fast


def settings(vocab: Vocabulary, longest: int) -> dict[str, object]:
    """Return the settings by which transformers, of version 4 too, loads the tokenizer from its file."""
    names = {f"{name}_token": vocab.tokens[i] for name, i in (("pad", PAD_ID), ("bos", BOS_ID), ("eos", EOS_ID))}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "model_max_length": longest,
        "padding_side": "right",
        "model_input_names": ["input_ids", "attention_mask"],
        "split_special_tokens": True,  # a text that spells one is text
        "clean_up_tokenization_spaces": False,
    }


def model(pieces: Pieces, vocab: Vocabulary) -> BPE | Unigram:
    """Return the model of the source's `pieces`."""
    unknown, bytes_too = vocab.tokens[vocab.offset + UNK_ID], bool(pieces.single_bytes)
    if pieces.is_unigram:
        reachable = {**pieces.scores, **dict.fromkeys(vocab.symbols.values(), 0.0)}
        scored = [(token, reachable.get(token, NEVER)) for token in vocab.tokens]
        return Unigram(scored, unk_id=vocab.offset + UNK_ID, byte_fallback=bytes_too)
    ids = {token: i for i, token in enumerate(vocab.tokens)}
    return BPE(ids, merges(pieces.scores, ids), unk_token=unknown, fuse_unk=True, byte_fallback=bytes_too)


def merges(scores: dict[str, float], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Return all pairs of tokens that make a piece, the piece with the highest score first.

    To SentencePiece the pairs of one piece are equal, and the leftmost in the text is merged first; here, by their ids.
    """
    found = [
        (-score, ids[left], ids[right], left, right)
        for piece, score in scores.items()
        for left, right in ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        if left in ids and right in ids
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def normalizers(form: NormalForm, tags: Iterable[str], vocab: Vocabulary) -> Iterator[Normalizer]:
    """Yield the steps from raw text to text in the normal form with SentencePiece's spaces, symbols as private."""
    yield Replace(NOT_TEXT, " ")
    yield from tag_steps(tags, vocab) if tags else ()
    if form.rule != IDENTITY:
        yield NFC()
    for symbol, character in vocab.symbols.items():
        if symbol not in tags:
            yield Replace(symbol, character)
    if form.rule != IDENTITY:
        yield Replace(Regex(f"[{escaped(INVISIBLE)}]"), "")
        yield NFC()
        yield from [Replace("\t", " ")] if form.rule == normalization.NFC else rule_steps(form.rule, vocab.kept)
    yield Replace(Regex(" {2,}"), " ")
    yield Replace(Regex(r"\A | \z"), "")
    yield Replace(" ", SPACE)
    yield Prepend(SPACE)


def tag_steps(tags: Iterable[str], vocab: Vocabulary) -> Iterator[Normalizer]:
    """Yield the steps that make the tags at the start of a line private characters, a space around each."""
    longest_first = sorted(tags, key=len, reverse=True)
    behind_tags = f"(?<=[{escaped(vocab.symbols[tag] for tag in longest_first)}] )"
    white = r"[\s\x1f]"  # as Python has it, after the first step
    # The package fails on matches of no characters, so that a tag is matched and not its place.
    for start in (r"\A", *[behind_tags] * (MOST_TAGS - 1)):
        for tag in longest_first:
            pattern = rf"{start}{white}*{re.escape(tag)}(?:{white}+|\z|(?<=\W))"
            yield Replace(Regex(pattern), f" {vocab.symbols[tag]} ")


def rule_steps(rule: str, kept: dict[str, str]) -> Iterator[Normalizer]:
    """Yield the steps of a rule of SentencePiece: Unicode's NFKC, before it what the rule does otherwise."""
    short: dict[str, list[str]] = {}
    long: list[tuple[str, str]] = []
    for character, text in differing(rule):
        if len(character.encode()) < LONG or text in kept:
            short.setdefault(text, []).append(character)
        else:
            long.append((character, text))
    for text, characters in short.items():
        yield Replace(Regex(f"[{escaped(characters)}]"), kept.get(text, text))
    if long:
        sentencepiece.set_min_log_level(2)
        compiled = sentencepiece.SentencePieceNormalizer(norm_map=sorted(long)).serialized_normalizer_spec()
        yield Precompiled(charsmap(compiled))
    yield from base_steps(rule)
    for text, character in kept.items():
        yield Replace(character, text)


def base_steps(rule: str) -> list[Normalizer]:
    """Return the steps of the package that come nearest to a rule."""
    return [NFKC(), Lowercase(), NFKC()] if rule.endswith("_cf") else [NFKC()]


@cache
def differing(rule: str) -> list[tuple[str, str]]:
    """Return the characters that a rule treats otherwise than `base_steps` on the source, with their normal forms."""
    base, normalize = Normalizers(base_steps(rule)), NormalForm(rule, is_source=True).normalize
    normal = ((character, normalize(plain(character))) for character in map(chr, chain(*PLANES)))
    return [(character, text) for character, text in normal if base.normalize_str(plain(character)) != text]


def unstable(rule: str) -> list[str]:
    """Return the normal forms that `base_steps` would change again."""
    if rule in (normalization.NFC, IDENTITY):
        return []
    base = Normalizers(base_steps(rule))
    return sorted({text for _, text in differing(rule) if base.normalize_str(text) != text})


def charsmap(spec: bytes) -> bytes:
    """Return the compiled rules in a NormalizerSpec, a protobuf message."""
    return next(bytes(content) for number, _, content in message_fields(memoryview(spec)) if number == CHARSMAP)


def pre_tokenizers(pieces: Pieces, vocab: Vocabulary) -> Iterator[PreTokenizer]:
    """Yield the steps that cut text: within text that spells a symbol, around symbols, and before spaces."""
    cuts = [f"(?<={re.escape(symbol[0])})(?={re.escape(symbol[1:])})" for symbol in vocab.symbols]
    if pieces.is_unigram:
        cuts += name_cuts(pieces, vocab)
    if cuts:
        yield Split(Regex("|".join(cuts)), "isolated")
    if vocab.symbols:
        yield Split(Regex(f"[{escaped(vocab.symbols.values())}]"), "isolated")
    yield Split(SPACE, "merged_with_next")


def name_cuts(pieces: Pieces, vocab: Vocabulary) -> Iterator[str]:
    """Yield where to cut text that spells a piece such as <s>, which no text has, if characters of it are unknown.

    Then the piece would be likelier than its spelling. A cut between a known and an unknown character divides no piece.
    """
    letters, digit = set("".join(pieces.scores)), "[0-9A-F]"
    names = [[*token] for token in ["<unk>", *vocab.special] if vocab.other not in token]
    for name in [*names, ["<", "0", "x", digit, digit, ">"]]:
        known = [part == digit or part in letters for part in name]
        pattern = [part if part == digit else re.escape(part) for part in name]
        if not all(known):
            edges = (at for at in range(1, len(name)) if known[at - 1] != known[at])
            at = next(edges, 1)
            yield f"(?<={''.join(pattern[:at])})(?={''.join(pattern[at:])})"


def decoders(vocab: Vocabulary) -> Iterator[Decoder]:
    """Yield the steps from tokens to text, one line."""
    yield ReplaceToken(vocab.other, "")
    yield ReplaceToken(SPACE, " ")
    yield ReplaceToken(Regex(r"\A<unk>\z"), UNKNOWN)
    for symbol, character in vocab.symbols.items():
        yield ReplaceToken(character, symbol)
    yield ByteFallback()
    yield Fuse()
    yield Strip(" ", 2**16, 0)
    yield ReplaceToken(NOT_TEXT, " ")


def escaped(characters: Iterable[str]) -> str:
    """Write characters for a class of Oniguruma's regular expressions."""
    return "".join(f"\\x{{{ord(character):x}}}" for character in characters)
