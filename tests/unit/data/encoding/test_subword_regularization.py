"""Splits drawn at random: functions of their arguments alone, with SentencePiece's own distribution."""

import json
import math
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import sentencepiece

from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding import subword_regularization
from nmt.data.encoding.subword_regularization import BpeDropout, Pieces, SubwordRegularizer, Unigram
from nmt.data.encoding.tokenizer import UNK_ID, SentencePieceModel
from nmt.data.encoding.tokenizer_training import train

LINES = [
    "the gardener gardens in the greenest garden of gardens",
    "who sees the sleeping cats and the sleepless dogs sees everything",
    "unseen sleepers sleep unseen; the seer sees the sleepers' dreams",
    "green, greener, greenest: thegreenestgardenersgardenofallthegardens",
] * 8
LINE = "the sleepless gardener sees thegreenestgardenersgardenofallthegardens, 語 and cats"
SYMBOLS = ["<2de>", "<2de>x", "en"]


def make(
    folder: Path, model_type: str, *, symbols: list[str] | None = None, byte_fallback: bool = True
) -> SentencePieceModel:
    folder.mkdir(parents=True, exist_ok=True)
    config = TokenizerConfig(
        vocab_size={"bpe": 84, "unigram": 44, "word": 20}[model_type] + 256 * byte_fallback,
        model_type=model_type,  # type: ignore[arg-type]
        byte_fallback=byte_fallback,
        user_defined_symbols=symbols or [],
    )
    train(LINES, LINES, config, folder, seed=1)
    return SentencePieceModel.load(folder / "tokenizer.model")


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    make(folder, request.param)
    return folder / "tokenizer.model"


@pytest.fixture
def side(model: Path) -> SentencePieceModel:
    return SentencePieceModel.load(model)


def test_a_split_spells_the_line(side: SentencePieceModel) -> None:
    assert {side.decode([side.sample(LINE, 0.2, seed)])[0] for seed in range(100)} == {LINE}
    assert side.sample("", 0.2, 1) == side.sample(" \n", 0.2, 1) == []


def test_seeds_give_splits_of_their_own_and_each_the_same_again(model: Path, side: SentencePieceModel) -> None:
    drawn = [side.sample(LINE, 0.2, seed) for seed in range(100)]
    assert len(set(map(tuple, drawn))) > 25
    fresh = SentencePieceModel.load(model)
    assert [fresh.sample(LINE, 0.2, seed) for seed in reversed(range(100))] == drawn[::-1]


def test_a_split_does_not_depend_on_what_was_drawn_before(model: Path, side: SentencePieceModel) -> None:
    wanted = SentencePieceModel.load(model).sample(LINE, 0.3, 7)
    for line in LINES:
        side.sample(line, 0.3, 7)
        side.sample(LINE, 0.1, 8)
        alone(side).encode(line, enable_sampling=True, alpha=0.1, nbest_size=-1)
        assert side.sample(LINE, 0.3, 7) == wanted


def test_a_split_does_not_depend_on_the_thread_nor_on_the_process(model: Path, side: SentencePieceModel) -> None:
    wanted = [SentencePieceModel.load(model).sample(LINE, 0.2, seed) for seed in range(60)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            assert list(threads.map(lambda seed: side.sample(LINE, 0.2, seed), range(60))) == wanted
    program = (
        "import json, sys; from pathlib import Path; from nmt.data.encoding import tokenizer\n"
        "path, line = sys.argv[1:]\n"
        "side = tokenizer.SentencePieceModel.load(Path(path))\n"
        "print(json.dumps([side.sample(line, 0.2, seed) for seed in range(60)]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(model), LINE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == wanted


def alone(side: SentencePieceModel) -> sentencepiece.SentencePieceProcessor:
    """Return SentencePiece itself."""
    assert isinstance(side.processor, sentencepiece.SentencePieceProcessor)
    return side.processor


@pytest.mark.parametrize(("name", "value"), [("SHORT", 0), ("KEPT", 2)])
def test_a_split_does_not_depend_on_what_is_kept(
    model: Path, side: SentencePieceModel, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    wanted = [side.sample(LINE, 0.2, seed) for seed in range(100)]
    monkeypatch.setattr(subword_regularization, name, value)
    other = SentencePieceModel.load(model)
    assert [other.sample(LINE, 0.2, seed) for seed in range(100)] == wanted
    method = other._regularizer.method
    assert isinstance(method, BpeDropout | Unigram)
    assert method._look_up.cache_info().currsize <= value


def test_next_to_no_dropout_is_the_plain_encoding_and_next_to_full_dropout_is_characters(tmp_path: Path) -> None:
    side = make(tmp_path, "bpe")
    for line in [*LINES, LINE]:
        assert side.sample(line, 1e-12, 1) == side.encode([line])[0]
    assert side.pieces(side.sample("the cats", 1 - 1e-12, 1)) == list("▁the▁cats")


def test_a_unigram_model_prefers_its_plain_encoding_the_more_the_higher_alpha_is(tmp_path: Path) -> None:
    side = make(tmp_path, "unigram")
    [plain] = side.encode(["the sleepless gardener"])
    hits = [
        sum(side.sample("the sleepless gardener", alpha, seed) == plain for seed in range(500))
        for alpha in (0.1, 0.5, 0.99)
    ]
    assert hits[0] < hits[1] < hits[2]


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_splits_are_as_frequent_as_those_of_sentencepiece(side: SentencePieceModel, alpha: float) -> None:
    draws = 4000
    text = "the sleepless gardeners"
    own = Counter(tuple(side.sample(text, alpha, seed)) for seed in range(draws))
    theirs = Counter(
        tuple(alone(side).encode(text, enable_sampling=True, alpha=alpha, nbest_size=-1)) for _ in range(draws)
    )
    for split, count in (own + theirs).most_common(20):
        # Six standard deviations of the difference of two binomial counts.
        assert abs(own[split] - theirs[split]) < 6 * (count * (1 - count / (2 * draws))) ** 0.5
    lengths = [sorted(map(len, found.elements())) for found in (own, theirs)]
    means = [sum(found) / draws for found in lengths]
    variance = sum((length - means[0]) ** 2 for length in lengths[0]) / draws
    assert abs(means[0] - means[1]) < 6 * (2 * variance / draws) ** 0.5
    assert variance > 0


def test_a_unigram_split_is_drawn_by_its_probability_to_the_power_of_alpha() -> None:
    scores = {"a": -1.0, "b": -2.0, "c": -3.0, "ab": -2.5, "bc": -4.5, "abc": -5.5, "bcd": -1.0}
    pieces = Pieces(UNK_ID, ids={piece: i for i, piece in enumerate(scores)}, scores=scores)
    weights = {}
    for cuts in ([0, 3], [0, 1, 3], [0, 2, 3], [0, 1, 2, 3]):
        split = ["abc"[start:end] for start, end in pairwise(cuts)]
        ids = tuple(pieces.ids[piece] for piece in split)
        weights[ids] = math.exp(0.4 * sum(scores[piece] for piece in split))
    draws = 20_000
    sampler = SubwordRegularizer(pieces)
    assert isinstance(sampler.method, Unigram)
    counts = Counter(tuple(sampler.sample(["abc"], 0.4, seed)) for seed in range(draws))
    assert counts.keys() == weights.keys()
    for ids, weight in weights.items():
        expected = draws * weight / sum(weights.values())
        assert abs(counts[ids] - expected) < 5 * expected**0.5


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_user_defined_symbols_are_never_split(tmp_path: Path, model_type: str) -> None:
    side = make(tmp_path, model_type, symbols=SYMBOLS)
    for seed in range(100):
        pieces = side.pieces(side.sample("<2de> the<2de>x gard<2de>enener <2de>", 0.5, seed))
        assert [piece for piece in pieces if piece in SYMBOLS] == ["<2de>", "<2de>x", "<2de>", "en", "en", "<2de>"]


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_unknown_characters_without_bytes_are_unknown_once_in_a_row(tmp_path: Path, model_type: str) -> None:
    side = make(tmp_path, model_type, byte_fallback=False)
    line = "語言the 語 cat語"
    assert side.encode([line])[0].count(UNK_ID) == side.sample(line, 0.1, 1).count(UNK_ID) == 3
    assert side.decode([side.sample(line, 0.5, seed) for seed in range(20)]) == side.decode(side.encode([line])) * 20


def test_a_model_of_words_has_one_split(tmp_path: Path) -> None:
    """Where training.init_from brings such a model, tokenizer.sampling of another recipe has no choice."""
    side = make(tmp_path, "word", byte_fallback=False)
    line = f"{LINES[0]} unheard of {LINES[0]}"
    assert [side.sample(line, 0.9, seed) for seed in range(5)] == side.encode([line]) * 5
    assert side.encode([line])[0].count(UNK_ID) == 1


def test_the_pieces_of_a_model_are_read_as_sentencepiece_reads_them(side: SentencePieceModel) -> None:
    pieces = Pieces.read(side.processor.serialized_model_proto(), UNK_ID)
    assert sorted([*pieces.ids.values(), *pieces.single_bytes.values()]) == list(range(4, side.size))
    for piece, number in pieces.ids.items():
        assert side.processor.id_to_piece(number) == piece
        assert alone(side).get_score(number) == pieces.scores[piece]
    assert len(pieces.single_bytes) == 256
    assert all(side.processor.is_byte(number) for number in pieces.single_bytes.values())
