"""Profiling: which micro-batches are measured and which extrapolated, and the speeds."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import Batch
from nmt.training import profiling
from nmt.training.profiling import MemoryTrials, compile_now, finish, training_speed, translation_speed


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(profiling, "time", clock)
    return clock


def test_micro_batches_are_measured_for_half_of_the_time_then_extrapolated(clock: Clock) -> None:
    def cost(tokens: int) -> int:
        clock.now += 2.5
        return tokens * 10 + 1

    trials = MemoryTrials(cost)
    assert [trials(tokens) for tokens in (100, 200, 400)] == [1001, 2001, 4001]  # the third began after 5 s, no more
    assert trials.largest == 400
    assert trials(800) == 4001 * 800 // 400
    assert trials.largest == 400
    assert trials.taken == {100: 1001, 200: 2001, 400: 4001, 800: 8002}


def test_the_first_micro_batch_is_measured_whatever_the_time(clock: Clock) -> None:
    trials = MemoryTrials(lambda tokens: tokens)
    clock.now += 100
    assert (trials(7), trials.largest) == (7, 7)


class FakeUpdater:
    """Takes a second for a micro-batch, and half of one for an update; the first ones are slow."""

    device = torch.device("cpu")

    def __init__(self, clock: Clock) -> None:
        self.clock, self.updates, self.micro_batches = clock, list[Any](), 0

    def accumulate(self, batches: list[Any], *, seed: int, smoothing: float, tokens: int) -> None:
        assert (len(batches), seed, smoothing, tokens) == (1, 0, 0.1, 30)
        self.clock.now += 1 if self.micro_batches else 40
        self.micro_batches += 1

    def apply(self, step: int, *, rate: float, tokens: int) -> None:
        self.updates.append((step, rate, tokens))
        self.clock.now += 20 if step == 1 else 0.5


class FakeBatch:
    target_tokens = 30

    def to(self, _: object) -> "FakeBatch":
        return self


@pytest.mark.parametrize(("seconds", "count"), [(3.0, 4), (1000.0, 100)])
def test_the_speed_of_training_leaves_out_the_first_slow_ones(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, count: int
) -> None:
    monkeypatch.setattr(profiling, "SECONDS", seconds)
    updater = FakeUpdater(clock)
    steps = SimpleNamespace(steps=lambda *_: iter([SimpleNamespace(micro_batches=[FakeBatch()] * 7)] * 30))
    trainer: Any = SimpleNamespace(updater=updater, steps=steps, config=SimpleNamespace(label_smoothing=0.1))
    assert training_speed(trainer, 512) == (30.0, 0.5)
    assert steps.micro_batch_tokens == 512
    assert updater.micro_batches == 1 + count
    assert updater.updates == [(1, 0.0, 1), (2, 0.0, 1)]  # at rate 0 no weight moves


@pytest.mark.parametrize(("sentences", "translated"), [(10, 10), (64, 32), (65, 22)])
def test_the_speed_of_translation_is_measured_on_a_sample_of_dev(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, sentences: int, translated: int
) -> None:
    seen: list[Any] = []

    class FakeTranslator:
        def __init__(self, engine: Any, tokenizer: str, decoding: DecodingConfig, *, max_length: int) -> None:
            seen.extend([engine.models, tokenizer, decoding.max_extra_length, max_length])

        def translate(self, lines: list[str]) -> None:
            seen.append(lines)
            clock.now += 2 * len(lines)

    monkeypatch.setattr(profiling, "Translator", FakeTranslator)
    model = torch.nn.Linear(1, 1).train()
    sources = [str(number) for number in range(sentences)]
    recipe = SimpleNamespace(decoding=DecodingConfig(), model=SimpleNamespace(max_length=40))
    trainer: Any = SimpleNamespace(
        recipe=recipe,
        updater=SimpleNamespace(eval_model=model),
        tokenizer="tokenizer",
        dev=SimpleNamespace(sources=sources),
    )
    assert translation_speed(trainer) == 2.0
    assert seen[:4] == [[model], "tokenizer", 0, 40]
    assert len(seen[4]) == translated
    assert set(seen[4]) <= set(sources)
    assert not model.training


def test_only_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Any] = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    for name in ("cpu", "cuda"):
        finish(torch.device(name))
    assert waited == [torch.device("cuda")]


class Listing:
    """Stands for nine pairs."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return 9

    def whole_batch(self, rows: Ints) -> Batch:
        self.asked = rows.tolist()
        return self.batches[0]


def test_layers_are_compiled_for_sources_with_and_without_padding() -> None:
    taken: list[Any] = []
    ids = torch.ones(2, 3, dtype=torch.long)
    batch = Batch(ids, ids, ids, torch.arange(6))
    pairs = Listing([batch])
    updater = SimpleNamespace(
        device=torch.device("cpu"), accumulate=lambda batches, **_: taken.extend(one.src_padded for one in batches)
    )
    trainer: Any = SimpleNamespace(pairs=pairs, steps=pairs, updater=updater)
    compile_now(trainer)
    assert pairs.asked == [0, 8]
    assert taken == [True, False]
