"""The exported model against the native one: the same log-probabilities, the same translations."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ctranslate2")

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, SentencePieceModel, Tokenizer
from nmt.errors import UsageError
from nmt.exporting.converter import converter
from nmt.inference.engines.ctranslate2 import CTranslate2Engine, Export
from nmt.inference.engines.ctranslate2_models import Decoder
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Hypothesis, Request, Row, length_penalty
from nmt.model.families import build
from nmt.model.protocol import Model

SIZE = 60
PLAIN = DecodingConfig(beam_size=5, length_penalty=0.0, max_extra_length=30)
PRE_NORM = {"norm": "pre"}
GREEDY = PLAIN.model_copy(update={"beam_size": 1})

SHAPES: list[dict[str, Any]] = [
    {"norm": norm, "positions": positions, "tied_embeddings": tied}
    for norm, positions, tied in itertools.product(
        ("pre", "post"), ("sinusoidal", "learned"), ("all", "target", "none")
    )
]
SHAPES += [{**SHAPES[0], "heads": 3, "head_width": 7}, {**SHAPES[-1], "heads": 1, "head_width": 20}]
SHAPES += [{**SHAPES[0], "activation": activation} for activation in ("gelu", "silu", "swiglu")]
SHAPES += [{**SHAPES[0], "positions": "rotary"}, {**SHAPES[-1], "norm": "post", "positions": "rotary", "head_width": 6}]
ALONE = {"architecture": "decoder-only", "encoder_layers": 0}
SHAPES += [{**SHAPES[0], **ALONE}, {**SHAPES[0], **ALONE, "norm": "post", "positions": "learned", "activation": "gelu"}]
SHAPES += [{**SHAPES[0], **ALONE, "positions": "rotary", "activation": "swiglu", "head_width": 6}]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["-".join(map(str, shape.values())) for shape in SHAPES])


class Pieces:
    """What stands for SentencePiece: pieces that are numbers."""

    def __init__(self, side: str, size: int) -> None:
        self.side, self.size = side, size

    def get_piece_size(self) -> int:
        return self.size

    def id_to_piece(self, index: int) -> str:
        return ["<pad>", "<unk>", "<s>", "</s>"][index] if index < 4 else f"▁{self.side}{index}"


def tokenizer(*, joint: bool) -> Tokenizer:
    pieces: Any = Pieces("x", SIZE), Pieces("y", SIZE + 9)
    source = SentencePieceModel(pieces[0])
    target = source if joint else SentencePieceModel(pieces[1])
    return Tokenizer(source, target, normalization="", files=[])


def config_of(shape: dict[str, Any]) -> ModelConfig:
    return ModelConfig.model_validate(
        {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 2, "decoder_layers": 3, "max_length": 40, **shape}
    )


def random_model(shape: dict[str, Any], vocabularies: Tokenizer, *, likes: dict[int, float], seed: int = 1) -> Model:
    """Draw a model that finds each piece of `likes` so much likelier than the others, as training would."""
    torch.manual_seed(seed)
    config = config_of(shape)
    model = build(config, vocabularies.source_size, vocabularies.target_size).eval()
    decoder: Any = model.get_submodule("decoder")
    last: Any = model.get_submodule("decoder_norm") if config.norm == "pre" else decoder[-1].feed_forward_norm
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
        weight = model.generator.weight
        # The output has a part that is always the same; it speaks for the pieces of `likes` alone.
        direction = torch.nn.functional.normalize(torch.randn(config.d_model), dim=0)
        weight.mul_(0.3 / weight.std())
        weight.sub_((weight @ direction)[:, None] * direction)
        last.bias.add_(2 * direction)
        for piece, liking in likes.items():
            weight[piece] += liking / 2 * direction
    return model


def speaking_model(shape: dict[str, Any], vocabularies: Tokenizer) -> Model:
    """Draw models until one ends most of its translations by itself, and not all in the same way."""
    for seed, liking in itertools.product(range(30), (2.0, 3.0, 4.0, 5.0, 6.0)):
        model = random_model(shape, vocabularies, likes={PAD_ID: -20, BOS_ID: -20, EOS_ID: liking}, seed=seed)
        ended = [
            tgt
            for src, tgt in zip(rows(30), ids(search(NativeEngine([model]), plain_rows(30), GREEDY)), strict=True)
            if len(tgt) < len(src) + 30
        ]
        if len(ended) >= 10 and len(set(map(tuple, ended))) >= 8:
            return model
    raise AssertionError("no such model")


def exported(
    model: Model, shape: dict[str, Any], vocabularies: Tokenizer, folder: Path, *, quantization: str = "float32"
) -> CTranslate2Engine:
    converting = converter(model, config_of(shape), vocabularies)
    converting.convert(str(folder), quantization=quantization, force=True)
    source, target = (side.pieces(range(side.size)) for side in (vocabularies.source, vocabularies.target))
    export = Export(folder, quantization, model.position_limit, source, target, converting.alignment_layer)
    return CTranslate2Engine(export, threads=2)


def rows(count: int, *, longest: int = 20, size: int = SIZE) -> list[list[int]]:
    rng = random.Random(7)
    return [[rng.randrange(4, size) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def plain_rows(count: int) -> list[Row]:
    return [Row(src) for src in rows(count)]


@pytest.fixture(scope="module", params=[PRE_NORM, {**PRE_NORM, **ALONE}], ids=["encoder-decoder", "decoder-only"])
def shape_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    shape: dict[str, Any] = request.param
    return shape


@pytest.fixture(scope="module")
def model(shape_of: dict[str, Any]) -> Model:
    return speaking_model(shape_of, tokenizer(joint=True))


@pytest.fixture(scope="module")
def engine(model: Model, shape_of: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> CTranslate2Engine:
    return exported(model, shape_of, tokenizer(joint=True), tmp_path_factory.mktemp("exported"))


def search(engine: Any, sources: list[Row], decoding: DecodingConfig, *, n_best: int = 1) -> list[list[Hypothesis]]:
    (found,) = engine.search([sources], Request(decoding, n_best))
    return found


def ids(found: list[list[Hypothesis]]) -> list[list[int]]:
    return [hypotheses[0].ids for hypotheses in found]


@shapes
def test_every_shape_gives_the_log_probabilities_of_a_native_pass_and_its_translations(
    shape: dict[str, Any], tmp_path: Path
) -> None:
    vocabularies = tokenizer(joint=shape["tied_embeddings"] == "all")
    model = speaking_model(shape, vocabularies)
    engine = exported(model, shape, vocabularies, tmp_path)
    sources, targets = rows(30), rows(31, size=vocabularies.target_size)[1:]
    (scores,) = engine.score([list(zip(sources, targets, strict=True))])
    for src, tgt, found in zip(sources, targets, scores, strict=True):
        with torch.inference_mode():
            log_probs = model(torch.tensor([[*src, EOS_ID]]), torch.tensor([[BOS_ID, *tgt]])).log_softmax(-1)[0]
        wanted = log_probs[range(len(tgt) + 1), [*tgt, EOS_ID]]
        torch.testing.assert_close(torch.tensor(found), wanted, atol=1e-4, rtol=0)
    native = NativeEngine([model])
    for beam_size in (1, 5):
        decoding = PLAIN.model_copy(update={"beam_size": beam_size})
        own, other = (search(each, plain_rows(30), decoding) for each in (native, engine))
        # Where a limit ends hypotheses by force CTranslate2 keeps fewer of them.
        whole = [len(found[0].ids) < len(src) + 30 for src, found in zip(sources, own, strict=True)]
        assert sum(whole) >= 5
        assert [x for x, fit in zip(ids(own), whole, strict=True) if fit] == [
            x for x, fit in zip(ids(other), whole, strict=True) if fit
        ]
        for one, two, fit in zip(own, other, whole, strict=True):
            assert not fit or one[0].score == pytest.approx(two[0].score, abs=1e-4)


@pytest.mark.parametrize("aligns", [False, True])
@pytest.mark.parametrize("decoder_layers", [1, 2, 4])
def test_the_attention_is_that_of_the_native_engine(decoder_layers: int, aligns: bool, tmp_path: Path) -> None:
    shape = {**PRE_NORM, "decoder_layers": decoder_layers}
    model = random_model(shape, tokenizer(joint=True), likes={})
    model.aligns = aligns
    engine, native = exported(model, shape, tokenizer(joint=True), tmp_path), NativeEngine([model])
    pairs = [*zip(rows(40), rows(80)[40:], strict=True), ([5, 6], [])]
    batches = [pairs[:1], pairs[1:]]
    for own, other in zip(native.attention(batches, None), engine.attention(batches, None), strict=True):
        assert [len(matrix) for matrix in own] == [len(matrix) for matrix in other]
        for one, two in zip(own, other, strict=True):
            torch.testing.assert_close(torch.tensor(two), torch.tensor(one), atol=1e-5, rtol=0)
    layer = max(decoder_layers - 1, 1)
    assert next(engine.attention([pairs], layer)) == next(engine.attention([pairs], None))
    with pytest.raises(UsageError) as caught:
        engine.attention([pairs], layer + 1)
    assert str(caught.value) == (
        f"the export has the attention of decoder layer {layer} alone, not {layer + 1} "
        "(take that one, or the engine native)"
    )


def test_a_decoder_alone_has_no_attention_to_give(tmp_path: Path) -> None:
    shape = {**PRE_NORM, **ALONE}
    engine = exported(random_model(shape, tokenizer(joint=True), likes={}), shape, tokenizer(joint=True), tmp_path)
    with pytest.raises(UsageError) as caught:
        engine.attention([], None)
    assert str(caught.value) == "CTranslate2 gives no attention of a decoder alone (take the engine native)"


OPTIONS: list[dict[str, Any]] = [
    {},
    {"beam_size": 1},
    {"length_penalty": 1.0},
    {"max_extra_length": 0},
    {"max_extra_length": 1, "length_penalty": 0.6},
    {"max_length_ratio": 0.5},
    {"max_length_ratio": 0.01, "beam_size": 1},
    {"min_length": 1},
    {"min_length": 1, "beam_size": 1},
    {"min_length": 1, "length_penalty": 1.0},
    {"min_length": 12},
    {"min_length": 50, "max_extra_length": 3},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2, "beam_size": 1},
]
options = pytest.mark.parametrize("change", OPTIONS, ids=str)


@options
@pytest.mark.parametrize("with_prefix", [False, True])
def test_hypotheses_keep_to_what_is_asked_and_their_scores_are_those_of_their_pieces(
    engine: CTranslate2Engine, change: dict[str, Any], with_prefix: bool
) -> None:
    decoding = PLAIN.model_copy(update=change)
    prefixes = [ids[: number % 4] if with_prefix else [] for number, ids in enumerate(rows(40)[::-1])]
    sources = [Row(ids, prefix) for ids, prefix in zip(rows(40), prefixes, strict=True)]
    n_best = min(3, decoding.beam_size)
    if with_prefix and decoding.no_repeat_ngram and isinstance(engine.model, Decoder):
        with pytest.raises(UsageError, match="CTranslate2 does not see the n-grams of a prefix"):
            search(engine, sources, decoding)
        return
    found = search(engine, sources, decoding, n_best=n_best)
    pairs = [(row.ids, each.ids) for row, hypotheses in zip(sources, found, strict=True) for each in hypotheses]
    totals = [sum(scores) for scores in next(engine.score([pairs]))]
    each = [hypothesis for hypotheses in found for hypothesis in hypotheses]
    penalties = [length_penalty(len(hypothesis.ids) + 1, decoding.length_penalty) for hypothesis in each]
    wanted = [total / penalty for total, penalty in zip(totals, penalties, strict=True)]
    assert [hypothesis.score for hypothesis in each] == pytest.approx(wanted, abs=1e-4)
    for row, hypotheses in zip(sources, found, strict=True):
        assert 1 <= len(hypotheses) <= n_best
        assert hypotheses == sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)
        assert len({tuple(hypothesis.ids) for hypothesis in hypotheses}) == len(hypotheses)
        limit = row.limit(decoding, engine.target_limit)
        for hypothesis in hypotheses:
            assert hypothesis.ids[: len(row.prefix)] == row.prefix
            assert min(decoding.min_length, limit - 1) <= len(hypothesis.ids) < limit
            size = decoding.no_repeat_ngram
            grams = [tuple(hypothesis.ids[at : at + size]) for at in range(len(hypothesis.ids) - size + 1)]
            grown = grams[max(0, len(row.prefix) - size + 1) :]
            assert not size or all(grown.count(gram) == 1 for gram in grown)


@options
def test_a_row_alone_gives_what_it_gives_among_others(engine: CTranslate2Engine, change: dict[str, Any]) -> None:
    decoding = PLAIN.model_copy(update=change)
    has_prefix = isinstance(engine.model, Decoder) and not decoding.no_repeat_ngram
    sources = [Row(ids, ids[: len(ids) % 4] if has_prefix else []) for ids in rows(40)]
    assert ids(search(engine, sources, decoding)) == [ids(search(engine, [row], decoding))[0] for row in sources]


def test_batches_come_back_in_order_however_many_are_under_way(engine: CTranslate2Engine) -> None:
    sources = [Row(ids) for ids in rows(120, longest=9)]
    whole = ids(search(engine, sources, PLAIN))
    for size in (1, 7, 100):
        batches = [sources[at : at + size] for at in range(0, len(sources), size)]
        found = list(engine.search(iter(batches), Request(PLAIN)))
        assert [len(batch) for batch in found] == [len(batch) for batch in batches]
        assert [row for batch in found for row in ids(batch)] == whole


def test_a_limit_that_ends_a_greedy_search_ends_it_as_in_the_native_engine(
    engine: CTranslate2Engine, model: Model
) -> None:
    decoding = PLAIN.model_copy(update={"beam_size": 1, "max_extra_length": 0})
    sources = [Row(ids) for ids in rows(60)]
    own, other = search(NativeEngine([model]), sources, decoding), search(engine, sources, decoding)
    assert sum(len(found[0].ids) == len(row.ids) for row, found in zip(sources, own, strict=True)) > 5
    assert ids(own) == ids(other)
    assert [found[0].score for found in own] == pytest.approx([found[0].score for found in other], abs=1e-4)


def test_the_longest_source_and_target_are_those_of_the_model(engine: CTranslate2Engine, model: Model) -> None:
    src = rows(1, longest=1)[0] * 39
    assert engine.target_limit == model.position_limit == 80
    decoding = PLAIN.model_copy(update={"max_extra_length": 500, "min_length": 500, "beam_size": 1})
    assert [len(found) for found in ids(search(engine, [Row(src)], decoding))] == [79]
    (scores,) = engine.score([[(src, src * 2 + [4])]])
    assert len(scores[0]) == 80


def test_padding_and_bos_are_never_drawn_though_the_model_likes_them(tmp_path: Path) -> None:
    vocabularies = tokenizer(joint=False)
    shape = {"tied_embeddings": "none"}
    model = random_model(shape, vocabularies, likes={PAD_ID: 7, BOS_ID: 6, EOS_ID: 5})
    engine = exported(model, shape, vocabularies, tmp_path)
    sources = [Row(ids) for ids in rows(30)]
    for beam_size in (1, 5):
        decoding = PLAIN.model_copy(update={"beam_size": beam_size})
        found = search(engine, sources, decoding, n_best=beam_size)
        assert not {PAD_ID, BOS_ID} & {piece for each in found for hypothesis in each for piece in hypothesis.ids}
        own = search(NativeEngine([model]), sources, decoding)
        if beam_size == 1:
            assert ids(own) == ids(found)
            assert [x[0].score for x in own] == pytest.approx([x[0].score for x in found], abs=1e-4)


def test_a_piece_that_a_row_forbids_is_not_in_its_hypotheses_though_the_model_likes_it(tmp_path: Path) -> None:
    vocabularies = tokenizer(joint=False)
    shape = {"tied_embeddings": "none"}
    liked = 9
    model = random_model(shape, vocabularies, likes={liked: 7, EOS_ID: 5})
    engine = exported(model, shape, vocabularies, tmp_path)
    forbidden = frozenset({liked, 11})
    sources = [Row(ids, forbidden=forbidden if number % 2 else frozenset()) for number, ids in enumerate(rows(30))]
    for beam_size in (1, 5):
        decoding = PLAIN.model_copy(update={"beam_size": beam_size})
        own, found = (search(each, sources, decoding, n_best=beam_size) for each in (NativeEngine([model]), engine))
        for hypotheses in (own, found):
            holds = [any(forbidden.intersection(one.ids) for one in of_row) for of_row in hypotheses]
            assert not any(holds[1::2])
            assert all(holds[::2])
        if beam_size == 1:
            assert ids(own) == ids(found)
            assert [x[0].score for x in own] == pytest.approx([x[0].score for x in found], abs=1e-4)


@pytest.mark.parametrize("quantization", ["int8", "int8_float32", "int16", "float16", "bfloat16"])
def test_quantized_weights_are_near(model: Model, shape_of: dict[str, Any], tmp_path: Path, quantization: str) -> None:
    engine = exported(model, shape_of, tokenizer(joint=True), tmp_path, quantization=quantization)
    pairs = list(zip(rows(30), rows(31)[1:], strict=True))
    (found,) = engine.score([pairs])
    (wanted,) = exported(model, shape_of, tokenizer(joint=True), tmp_path).score([pairs])
    for some, exact in zip(found, wanted, strict=True):
        assert some == pytest.approx(exact, abs=1.0)
        assert some != exact
