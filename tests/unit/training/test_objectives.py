"""The objective: what is made of pairs, and the loss of a batch."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.config.training import NoiseConfig, TrainingConfig
from nmt.data.encoding.dataset import Batch
from nmt.data.encoding.noise import Corruption, Denoising, LanguageModel, Masking, Noise
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.model.families import build
from nmt.model.protocol import Model
from nmt.training import loss as module
from nmt.training.objectives import correction_loss, corruption_of, translation_loss

BATCH = Batch(
    src=torch.tensor([[5, 6, 3], [7, 3, 0]]),
    tgt_in=torch.tensor([[2, 8, 9], [2, 11, 0]]),
    labels=torch.tensor([[8, 9, 3], [11, 3, 0]]),
    label_indices=torch.arange(5),
)


def make_model(**values: object) -> Model:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, **values}
    return build(ModelConfig.model_validate(shape), 12, 12).eval()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_smoothed_cross_entropy_summed_over_the_real_labels(smoothing: float) -> None:
    model = make_model()
    loss, nll = translation_loss(model, BATCH, smoothing=smoothing)
    labels = BATCH.labels
    logits, real = model(BATCH.src, BATCH.tgt_in)[labels != 0], labels[labels != 0]
    expected = F.cross_entropy(logits, real, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, real, reduction="sum"))
    (gradient,) = torch.autograd.grad(loss, [model.generator.weight], retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, [model.generator.weight])
    torch.testing.assert_close(gradient, wanted)


def test_the_loss_knows_the_bias_of_the_logits() -> None:
    model = make_model(output_bias=True)
    bias = model.generator.bias
    assert bias.tolist() == [0.0] * 12
    torch.nn.init.normal_(bias)
    loss, _ = translation_loss(model, BATCH, smoothing=0.1)
    logits, real = model(BATCH.src, BATCH.tgt_in)[BATCH.labels != 0], BATCH.labels[BATCH.labels != 0]
    expected = F.cross_entropy(logits, real, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(total, [bias])[0] for total in (loss, expected))
    torch.testing.assert_close(ours, theirs)


def test_the_loss_is_compiled_with_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = make_model(), list[bool]()
    plain = module.loss_of_logits

    def spy(*arguments: Any) -> Any:
        calls.append(True)
        return plain(*arguments)

    monkeypatch.setattr(module, "compiled_loss", lambda: spy)
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: None)
    translation_loss(model, BATCH, smoothing=0.1)
    assert not calls
    model.compile_layers()
    translation_loss(model, BATCH, smoothing=0.1)
    assert calls


def test_the_loss_of_the_source_is_added_times_its_weight_and_the_perplexity_stays_the_targets() -> None:
    torch.manual_seed(1)
    config = ModelConfig(architecture="decoder-only", d_model=16, heads=4, ffn=24, decoder_layers=2)
    model = build(config, 12, 12).eval()
    target, nll = translation_loss(model, BATCH, smoothing=0.1)
    both, nll_of_both = translation_loss(model, BATCH, smoothing=0.1, source_loss=0.25)
    # The source as the target of no source: without EOS before its first piece, so that only later ones compare.
    states = [model.generator(states) for states, _ in [model.states(BATCH.src, BATCH.tgt_in)]]  # type: ignore[operator]
    predicted = torch.stack([states[0][0, 0], states[0][0, 1], states[0][1, 0]])
    source = F.cross_entropy(predicted, torch.tensor([6, 3, 3]), label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(both, target + 0.25 * source)
    torch.testing.assert_close(nll_of_both, nll)


def test_a_model_that_predicts_no_source_has_no_loss_of_it() -> None:
    with pytest.raises(ValueError, match="the model predicts no source"):
        translation_loss(make_model(), BATCH, smoothing=0.0, source_loss=1.0)


def test_corrected_labels_are_learned_where_the_teacher_predicts_others_and_the_rest_is_kept() -> None:
    model, teacher = make_model(output_bias=True), make_model(output_bias=True)
    torch.nn.init.normal_(teacher.generator.bias)
    real = BATCH.labels != 0
    logits, before = (one(BATCH.src, BATCH.tgt_in) for one in (model, teacher))
    predicted = before.argmax(-1)
    labels = torch.where(real, predicted, 0)
    labels[0, 1] = labels[1, 0] = next(iter({4, 5, 6} - {int(predicted[0, 1]), int(predicted[1, 0])}))
    batch = replace(BATCH, labels=labels)
    corrected = torch.tensor([True, False])
    values: dict[str, Any] = {"teacher": teacher, "corrected": corrected, "smoothing": 0.1, "weight": 3.0}
    loss, recorded = correction_loss(model, batch, **values)
    kept = -(before.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    learned = F.cross_entropy(logits[0, 1], batch.labels[0, 1], label_smoothing=0.1)
    expected = 3 * (kept[real].sum() - kept[0, 1]) + learned
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(recorded, expected.detach())
    assert not recorded.requires_grad
    loss.backward()
    assert teacher.generator.bias.grad is None


def test_a_model_that_predicts_as_its_teacher_has_nothing_to_learn_from_general_pairs() -> None:
    model = make_model()
    values: dict[str, Any] = {
        "teacher": make_model(),
        "corrected": torch.tensor([False, False]),
        "smoothing": 0.1,
        "weight": 1.0,
    }
    gradients = torch.autograd.grad(correction_loss(model, BATCH, **values)[0], [*model.parameters()])
    assert max(gradient.abs().max().item() for gradient in gradients) < 1e-5


class Vocabulary:
    """Stands for the tokenizer of a side."""

    def pieces(self, ids: range) -> list[str]:
        named = {4: "<2de>", 5: "<mask>", 6: "<mask1>", 7: ".", 8: "so?", 9: "Mr.x", 10: "\u3002", 11: "!\u2581"}
        return [named.get(number, f"piece{number}") for number in ids]


TOKENIZER = cast("Tokenizer", SimpleNamespace(source=Vocabulary(), source_size=14, masks=[5, 6], tags=["<2de>"]))


def of_recipe(objective: str, has_source: bool = True, **noise: Any) -> Corruption | None:
    training = TrainingConfig.model_validate({"objective": objective})
    data = SimpleNamespace(train={"pairs": None})
    recipe: Any = SimpleNamespace(
        training=training,
        noise=NoiseConfig.model_validate(noise),
        data=data,
        has_prefixes=has_source,
        model=ModelConfig(max_length=40),
    )
    return corruption_of(recipe, TOKENIZER, {"pairs": (0, 5), "lines": (5, 9)}, 3)


def test_each_objective_has_the_noise_of_its_paper_by_default() -> None:
    assert of_recipe("translation") is None
    assert of_recipe("language-model") == LanguageModel(3, is_cut=True)
    assert of_recipe("language-model", has_source=False) == LanguageModel(3, is_cut=False)
    bart, ends, tags = of_recipe("denoising"), frozenset([7, 8, 10]), frozenset([4])
    assert bart == Denoising(Noise(0.3, 3.0, 0.0, ends, tags), [5, 6], 3, longest=39)
    t5 = of_recipe("denoising", target="spans")
    assert t5 == Denoising(Noise(0.15, 3.0, 0.0, ends, tags), [5, 6], 3, longest=39, predicts_spans=True)
    bert = of_recipe("masked")
    assert bert == Masking(Noise(0.15, 1.0, 0.0, ends, tags), 5, [4, *range(7, 14)], 3, [(5, 9)])
    chosen = of_recipe("denoising", mask_share=0.5, span_length=2, sentence_share=0.25)
    assert isinstance(chosen, Denoising)
    assert (chosen.noise.share, chosen.noise.span_length, chosen.noise.sentence_share) == (0.5, 2.0, 0.25)
