"""What the engine says of translations that are given: log-probabilities and attention."""

import gzip
import math
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.config.inference import Options
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.errors import ArtifactError, UsageError
from nmt.inference.engines import native
from nmt.inference.engines.native import NativeEngine, check_precision
from nmt.inference.protocol import length_penalty
from nmt.inference.report import Report
from nmt.inference.translator import Translator
from nmt.model import int8
from nmt.model.encoder_decoder import Transformer
from nmt.tasks.grammar import generate

SAME = 1e-4
"""What the same sum of log-probabilities may differ by, computed in another way."""
Pairs = list[tuple[list[int], list[int]]]
VOCABULARY = 40


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Translator:
    return Translator.load(tiny_model, device="cpu")


@pytest.fixture
def translator(loaded: Translator) -> Translator:
    """Return the tiny model with an empty report."""
    loaded.report = Report()
    return loaded


@pytest.fixture(scope="module")
def text(loaded: Translator) -> tuple[list[str], list[str]]:
    """Return sentences and their translations, short enough for the tiny model."""
    short = [
        pair
        for pair in generate("test", 70, 3)
        if all(len(loaded.tokenizer.source.encode([side])[0]) < loaded.max_length for side in pair)
    ]
    assert len(short) > 20
    return [source for source, _ in short], [target for _, target in short]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Return random pairs of many lengths, a target of nothing among them."""
    generator = torch.Generator().manual_seed(1)
    lengths = [(1 + n % 9, n * 7 % 13) for n in range(20)]
    return [
        tuple(torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in both)  # type: ignore[misc]
        for both in lengths
    ]


def model(
    norm: str = "pre", *, layers: int = 3, heads: int = 2, seed: int = 1, vocabulary: int = VOCABULARY
) -> Transformer:
    """Return an untrained model."""
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(
        {"d_model": 16, "heads": heads, "ffn": 32, "encoder_layers": 1, "decoder_layers": layers, "norm": norm}
        | {"dropout": 0.1, "max_length": 16}
    )
    return Transformer(config, vocabulary, vocabulary, pad_id=PAD_ID).eval()


def scores(engine: NativeEngine, pairs: Pairs) -> list[list[float]]:
    (found,) = engine.score([pairs])
    return found


def weights(engine: NativeEngine, pairs: Pairs, layer: int | None = None) -> list[torch.Tensor]:
    (found,) = engine.attention([pairs], layer)
    return [torch.tensor(rows) for rows in found]


def test_int8_is_for_a_cpu_with_exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for is_exact in (True, False):
        monkeypatch.setattr(int8, "is_exact", lambda is_exact=is_exact: is_exact)
        for precision in ("float32", "bfloat16"):
            check_precision(precision, cpu)
            check_precision(precision, gpu)
        with pytest.raises(UsageError) as caught:
            check_precision("int8", gpu)
        assert str(caught.value) == "int8 is for a CPU (take the device cpu, or another precision)"
    with pytest.raises(UsageError) as caught:
        check_precision("int8", cpu)
    assert str(caught.value) == "int8 needs a processor with exact 8-bit products (VNNI) (take float32)"
    monkeypatch.setattr(int8, "is_exact", lambda: True)
    check_precision("int8", cpu)


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_what_the_search_found_has_the_score_that_the_search_gave_it(
    tiny_model: Path, text: tuple[list[str], list[str]], beam_size: int, alpha: float
) -> None:
    lines, _ = text
    settings = {"beam_size": beam_size, "length_penalty": alpha}
    translator = Translator.load(tiny_model, device="cpu", decoding=settings)
    found = translator.translate(lines, Options(n_best=beam_size, token_scores=True))
    candidates = [candidate for translation in found for candidate in translation.candidates]
    assert len(candidates) > 0.9 * len(lines) * beam_size
    for candidate in candidates:
        assert candidate.token_scores is not None
        assert len(candidate.token_scores) == len(candidate.pieces) + 1
        score = sum(candidate.token_scores) / length_penalty(len(candidate.token_scores), alpha)
        assert score == pytest.approx(candidate.score, abs=SAME, rel=2e-6)  # float32 has no more digits


def test_a_line_in_segments_has_the_scores_of_all_its_segments(translator: Translator) -> None:
    line = " ".join(source for source, _ in generate("test", 30, 3))
    (found,) = translator.translate([line], Options(token_scores=True, alignment=True))
    segments = len(translator._segments(translator.reader.read([line])[0], 1))
    assert segments > 1
    (best,) = found.candidates
    assert best.token_scores is not None
    assert best.alignment is not None
    assert len(best.token_scores) == len(best.pieces) + segments
    assert best.alignment == sorted(best.alignment)
    assert [target for _, target in sorted(best.alignment, key=lambda pair: pair[1])] == list(
        range(len(best.text.split()))
    )
    assert max(source for source, _ in best.alignment) < len(line.split())


def test_a_word_that_was_split_is_still_one_word(translator: Translator) -> None:
    (found,) = translator.translate([f"A {'x' * 500} dog"], Options(alignment=True))
    assert len(translator._segments(translator.reader.read([found.source])[0], 1)) > 2
    assert {source for source, _ in found.candidates[0].alignment or []} <= {0, 1, 2}


def test_the_score_of_a_pair_is_the_sum_of_its_pieces_over_the_penalty(
    translator: Translator, text: tuple[list[str], list[str]]
) -> None:
    sources, targets = text
    for found, target in zip(translator.score(sources, targets), targets, strict=True):
        assert found.pieces == translator.tokenizer.target.encode_pieces([target])[0]
        assert len(found.token_scores) == len(found.pieces) + 1
        penalty = length_penalty(len(found.token_scores), translator.decoding.length_penalty)
        assert found.score == pytest.approx(sum(found.token_scores) / penalty)


def test_a_pair_is_scored_alone_as_in_batches_of_any_size(
    tiny_model: Path, translator: Translator, text: tuple[list[str], list[str]]
) -> None:
    sources, targets = text
    alone = [translator.score([source], [target])[0] for source, target in zip(sources, targets, strict=True)]
    for batch_tokens in (1, 300, 10**6):
        other = Translator.load(tiny_model, device="cpu", decoding={"batch_tokens": batch_tokens})
        for one, two in zip(alone, other.score(sources, targets), strict=True):
            assert one.token_scores == pytest.approx(two.token_scores, abs=1e-5)


def test_pairs_that_cannot_be_scored_are_no_number_and_counted(translator: Translator) -> None:
    translator.report.lines = 10
    sources = ["a", "", "a", "x" * 500, "a", "a"]
    targets = ["b", "b", " ", "b", "y" * 500, "b"]
    found = translator.score(sources, targets)
    assert [math.isnan(pair.score) for pair in found] == [False, True, True, True, True, False]
    assert [pair.token_scores for pair in found if math.isnan(pair.score)] == [[]] * 4
    assert found[0] == found[-1]
    assert translator.report == Report(lines=16, unscored=[12, 13, 14, 15])


def test_log_probabilities_are_those_of_the_whole_softmax(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    one = model()
    whole = scores(NativeEngine([one]), pairs)
    for (src, tgt), found in zip(pairs, whole, strict=True):
        logits = one(torch.tensor([[*src, EOS_ID]]), torch.tensor([[BOS_ID, *tgt]]))[0]
        expected = logits.log_softmax(-1).gather(1, torch.tensor([[*tgt, EOS_ID]]).T)[:, 0]
        assert found == pytest.approx(expected.tolist(), abs=1e-5)
    monkeypatch.setattr(native, "ROWS", 3)
    for found, other in zip(scores(NativeEngine([one]), pairs), whole, strict=True):
        assert found == pytest.approx(other, abs=1e-6)


def test_several_models_give_the_mean_of_their_probabilities(pairs: Pairs) -> None:
    one, other = model(), model(seed=2)
    both = scores(NativeEngine([one, other]), pairs)
    first, second = scores(NativeEngine([one]), pairs), scores(NativeEngine([other]), pairs)
    assert scores(NativeEngine([one, one]), pairs) == [pytest.approx(row, abs=1e-6) for row in first]
    for a, b, mean in zip(chain(*first), chain(*second), chain(*both), strict=True):
        assert math.exp(mean) == pytest.approx((math.exp(a) + math.exp(b)) / 2, rel=1e-5)


def test_the_number_of_threads_changes_nothing_but_rounding(
    translator: Translator, text: tuple[list[str], list[str]]
) -> None:
    sources, targets = text
    one = translator.score(sources, targets)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = translator.score(sources, targets)
    finally:
        torch.set_num_threads(threads)
    assert [pair.score for pair in two] == pytest.approx([pair.score for pair in one], abs=1e-5)


def test_a_model_that_is_no_number_is_an_error(translator: Translator) -> None:
    broken = model(vocabulary=translator.tokenizer.target_size)
    broken.generator.weight.data.fill_(torch.nan)
    other = Translator(NativeEngine([broken]), translator.tokenizer, translator.decoding, max_length=16)
    with pytest.raises(ArtifactError, match="the model's output is not a number"):
        other.score(["a"], ["b"])


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_attention_is_what_the_layer_weighs_the_values_of_the_source_with(pairs: Pairs, norm: str, layer: int) -> None:
    one = model(norm, heads=1)
    attention = one.decoder_layers[layer - 1].cross_attention
    contexts: list[torch.Tensor] = []
    attention.output.register_forward_pre_hook(lambda _, given: contexts.append(given[0]))
    for (src, tgt), found in zip(pairs, weights(NativeEngine([one]), pairs, layer), strict=True):
        if tgt:
            memory = one.encode(torch.tensor([[*src, EOS_ID]]), None)
            one.decode(torch.tensor([[BOS_ID, *tgt]]), memory, None)
            _, values = attention.keys_and_values(memory)
            whole = torch.cat([found, 1 - found.sum(1, keepdim=True)], dim=1)  # EOS takes the rest
            torch.testing.assert_close(whole @ values[0, 0], contexts[-1][0, : len(tgt)])


def test_attention_is_the_mean_of_the_heads(pairs: Pairs) -> None:
    one = model()
    engine, query = NativeEngine([one]), one.decoder_layers[0].cross_attention.query
    both = query.weight.data.clone()
    of_heads = []
    for dull in (slice(0, 8), slice(8, 16)):  # a head without a question attends to all places alike
        query.weight.data.copy_(both)[dull] = 0
        of_heads.append(weights(engine, pairs, 1))
    query.weight.data.copy_(both)
    for (src, _), found, one, other in zip(pairs, weights(engine, pairs, 1), *of_heads, strict=True):
        torch.testing.assert_close(found, one + other - 1 / (len(src) + 1))


@pytest.mark.parametrize("layer", [None, 1, 3])
def test_the_attention_of_a_piece_sums_to_what_the_end_of_the_source_leaves(pairs: Pairs, layer: int | None) -> None:
    for (src, tgt), found in zip(pairs, weights(NativeEngine([model()]), pairs, layer), strict=True):
        if tgt:
            assert found.shape == (len(tgt), len(src))
            assert (found >= 0).all()
            assert (found.sum(1) < 1).all()


def test_attention_is_the_same_alone_and_in_a_batch(pairs: Pairs) -> None:
    engine = NativeEngine([model()])
    for pair, found in zip(pairs, weights(engine, pairs), strict=True):
        torch.testing.assert_close(weights(engine, [pair])[0], found, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("layers", "default"), [(1, 1), (2, 1), (3, 2)])
def test_the_layer_is_the_last_but_one_if_there_are_two(pairs: Pairs, layers: int, default: int) -> None:
    engine = NativeEngine([model(layers=layers)])
    assert next(engine.attention([pairs], None)) == next(engine.attention([pairs], default))


def test_several_models_attend_to_the_mean(pairs: Pairs) -> None:
    one, other = model(), model(layers=2, seed=2)
    both = weights(NativeEngine([one, other]), pairs)
    apart = zip(weights(NativeEngine([one]), pairs, 2), weights(NativeEngine([other]), pairs, 1), strict=True)
    for mean, (a, b) in zip(both, apart, strict=True):
        torch.testing.assert_close(mean, (a + b) / 2)


@pytest.mark.parametrize("layer", [-1, 0, 3, 100])
def test_a_layer_that_is_not_there_is_an_error_that_says_how_many_are(pairs: Pairs, layer: int) -> None:
    engine = NativeEngine([model(layers=3), model(layers=2)])
    with pytest.raises(UsageError, match=f"there is no decoder layer {layer}: the model has 2, counted from 1"):
        next(engine.attention([pairs], layer))


def test_looking_at_attention_leaves_the_model_as_it_was(pairs: Pairs) -> None:
    one = model()
    found: Iterator[object] = NativeEngine([one]).attention([pairs, pairs], 1)
    next(found)
    assert not any(module._forward_pre_hooks for module in one.modules())


@pytest.mark.slow
def test_words_of_a_small_dictionary_are_aligned_by_a_real_model(data: Path) -> None:
    if "NMT_TEST_MODEL" not in os.environ:
        pytest.skip("needs a trained model: set NMT_TEST_MODEL to its folder")
    dictionary = {"man": "mann", "woman": "frau", "dog": "hund", "ball": "ball", "street": "straße", "three": "drei"}
    dictionary |= {"two": "zwei", "with": "mit", "and": "und", "while": "während", "water": "wasser", "bus": "bus"}
    translator = Translator.load(os.environ["NMT_TEST_MODEL"], device="cpu")
    text = gzip.decompress((data / "multi30k" / "test_2016_flickr.en.gz").read_bytes()).decode()
    right = asked = 0
    for translation in translator.translate(text.split("\n")[:500], Options(alignment=True)):
        (best,) = translation.candidates
        source, target = (
            [word.strip(".,").lower() for word in line.split()] for line in (translation.source, best.text)
        )
        for word, other in dictionary.items():
            if source.count(word) == target.count(other) == 1:
                asked += 1
                right += (source.index(word), target.index(other)) in (best.alignment or [])
    print(f"{right} of {asked} words aligned to their translations")
    assert asked > 300
    assert right / asked > 0.7


@pytest.mark.parametrize(("kind", "batch_tokens"), [("cpu", 4096), ("cuda", 16_384)])
def test_a_gpu_takes_larger_batches(kind: str, batch_tokens: int) -> None:
    stand_in: Any = SimpleNamespace(device=torch.device(kind))
    assert NativeEngine([stand_in]).batch_tokens == batch_tokens
