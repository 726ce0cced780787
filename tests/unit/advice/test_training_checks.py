"""The doctor's checks of machine, sizes, memory and time."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from checkups import checkup_of

from nmt import devices
from nmt.advice import checkup as checkups
from nmt.advice import training_checks
from nmt.advice.checkup import Checkup, Finding
from nmt.advice.data_checks import check_cleaning, check_data, check_vocabulary
from nmt.advice.training_checks import (
    check_batching,
    check_compiler,
    check_device,
    check_export,
    check_memory,
    check_schedule,
    check_sizes,
    check_tensorboard,
    check_time,
)
from nmt.errors import StorageError, UsageError
from nmt.model import int8
from nmt.model.protocol import Model
from nmt.training import memory, profiling


def prepared(folder: Path, *settings: str) -> Checkup:
    """Return a checkup whose data checks are done."""
    checkup = checkup_of(folder, "data.train.pairs=300", *settings)
    checkup.device = torch.device("cpu")
    for check in (check_data, check_cleaning, check_vocabulary):
        check(checkup)
    return checkup


def test_the_device_is_named_with_its_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda _: 3 * 2**29)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    checkup = checkup_of(tmp_path, "training.device=cpu")
    monkeypatch.setattr(training_checks, "cores", lambda: 3)
    assert str(check_device(checkup)) == "cpu, threads: 7, usable cores: 3, 1.5 GiB of free memory, float32"
    assert checkup.device == torch.device("cpu")
    monkeypatch.setattr(
        torch, "set_num_threads", lambda number: monkeypatch.setattr(torch, "get_num_threads", lambda: number)
    )
    assert str(check_device(checkup_of(tmp_path, "training.device=cpu", "training.threads=5"))).startswith(
        "cpu, threads: 5, "
    )
    monkeypatch.setattr(devices, "pick_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    assert str(check_device(checkup)) == "cuda, Some GPU, 1.5 GiB of free memory, float32"


@pytest.mark.parametrize(("gain", "level"), [(0.55, "warning"), (2.0, "OK")])
def test_bfloat16_is_warned_of_where_the_processor_is_slower_with_it(
    gain: float, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "bfloat16_gain", lambda: gain)
    finding = check_device(checkup_of(tmp_path, "training.device=cpu", "training.precision=bfloat16"))
    assert finding.level == level
    assert ("bfloat16, whose products run at 0.55 of float32's rate on this processor" in str(finding)) == (gain < 1)
    assert check_device(checkup_of(tmp_path, "training.device=cpu")).level == "OK"


def test_a_device_that_cannot_decode_as_the_recipe_says_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "is_exact", lambda: False)
    with pytest.raises(UsageError, match=r"^int8 needs a processor with exact 8-bit products \(VNNI\)"):
        check_device(checkup_of(tmp_path, "training.device=cpu", "decoding.precision=int8"))


def test_a_compiler_is_tried_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(check_compiler(checkup_of(tmp_path))) == "not asked for"
    checkup = checkup_of(tmp_path, "training.compile=true")
    checkup.device = torch.device("cpu")
    levels = []
    for works in (True, False):
        monkeypatch.setattr(devices, "compiler_works", lambda _, works=works: works)
        levels.append(check_compiler(checkup).level)
    assert levels == ["OK", "warning"]


def test_tensorboard_is_tried_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_checks, "summary_writer", lambda *_: SimpleNamespace(close=lambda: None))
    levels = [str(check_tensorboard(checkup_of(tmp_path, *asked))) for asked in ((), ("training.tensorboard=true",))]
    assert levels == ["not asked for", "installed"]


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        (("training.max_steps=200",), Finding("OK", "200 steps, peak learning rate 0.01 at step 20")),
        (("training.max_steps=21",), Finding("OK", "21 steps, peak learning rate 0.01 at step 20")),
        (
            ("training.max_steps=20",),
            Finding(
                "warning",
                "20 steps, peak learning rate 0.01 at step 20; the training ends within the warm-up of 20 steps",
                "lower optimizer.warmup_steps to a tenth of training.max_steps, or raise the latter",
            ),
        ),
    ],
)
def test_a_training_has_to_be_longer_than_its_warmup(
    tmp_path: Path, settings: tuple[str, ...], finding: Finding
) -> None:
    assert check_schedule(checkup_of(tmp_path, *settings)) == finding


def test_the_package_for_exports_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for there in (None, object()):
        monkeypatch.setattr(training_checks, "find_spec", lambda _, there=there: there)
        found.append(str(check_export(checkup_of(tmp_path))))
    assert found[1] == (
        "a model of this shape can be exported to CTranslate2: pre-norm, sinusoidal positions, tied_embeddings all; "
        "the package is installed"
    )
    prefix = ("model.architecture=prefix-lm", "model.encoder_layers=0")
    assert str(check_export(checkup_of(tmp_path, *prefix))) == (
        "CTranslate2 has no model of the architecture prefix-lm (translate with the native engine, or take --to int8)"
    )
    assert found[0] == found[1].replace("is installed", 'is not installed here: pip install -e ".[ctranslate2]"')
    trees = ("tokenizer.trees=true", "tokenizer.normalization=nfc")
    assert str(check_export(checkup_of(tmp_path, *trees))) == "a model of trees has none"


def test_steps_are_compared_with_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkup = prepared(tmp_path)
    finding = check_batching(checkup)
    epoch = len(checkup.trainer.steps.plan(0))
    longest = int(memory.longer_sides(checkup.train).max())
    assert finding == Finding(
        "OK",
        f"the longest sentence has {longest} tokens of 1,000 a step; an epoch is {epoch} steps, the training "
        f"{200 / epoch:.1f} epochs",
    )
    found = {}
    for steps in (1, epoch, 200 * epoch, 200 * epoch + 1):
        training = checkup.recipe.training.model_copy(update={"max_steps": steps})
        recipe = checkup.recipe.model_copy(update={"training": training})
        monkeypatch.setattr(checkup.run, "recipe", recipe)
        found[steps] = check_batching(checkup)
    assert [finding.level for finding in found.values()] == ["warning", "OK", "OK", "warning"]
    assert found[1].message.endswith(f"; {1 - 1 / epoch:.0%} of the pairs are never seen")
    assert found[1].advice == f"set training.max_steps = {epoch}"
    assert found[200 * epoch + 1].message.endswith("; a model overfits in so many epochs")


def test_an_epoch_of_a_sample_is_scaled_up_and_may_have_longer_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkup = prepared(tmp_path, "batching.tokens_per_step=199", "cleaning.max_pieces=199", "training.max_steps=10_000")
    whole = check_batching(checkup)
    epoch = len(checkup.trainer.steps.plan(0))
    assert f"; an epoch is {epoch} steps, " in whole.message
    checkup.pairs["train"] *= 10
    part = check_batching(checkup)
    assert f"; an epoch is about {10 * epoch:,} steps, " in part.message
    assert part.message.endswith("; a sentence may have 200 tokens")
    assert (whole.level, part.level, part.advice) == ("OK", "warning", "raise batching.tokens_per_step to that")
    monkeypatch.setattr(checkups, "READ", checkup.pairs["train"])
    assert f"; an epoch is at least {10 * epoch:,} steps, " in check_batching(checkup).message


def test_a_model_without_room_is_one_line_and_other_errors_are_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkup = prepared(tmp_path)

    def raising(error: Exception) -> object:
        def trainer(*_: object, **__: object) -> None:
            raise error

        return trainer

    monkeypatch.setattr(training_checks, "Trainer", raising(MemoryError()))
    with pytest.raises(UsageError, match=r"^the model alone does not fit into the memory \(take a smaller model\)"):
        check_batching(checkup)
    monkeypatch.setattr(training_checks, "Trainer", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        check_batching(checkup)


@pytest.mark.parametrize(
    ("settings", "megabytes", "gigabytes"),
    [
        # Weights of 34,304 float32 numbers: three of them in each of 5 + 1 checkpoints, and one more in 3 models.
        ((), "0.4", 137_216 * (18 + 3)),
        (("training.ema_decay=0.99",), "0.5", 137_216 * (24 + 3)),
        (("training.average=best",), "0.4", 137_216 * (18 + 4)),
        (("training.keep_checkpoints=7",), "0.4", 137_216 * (24 + 3)),
    ],
)
def test_checkpoints_have_to_fit_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], megabytes: str, gigabytes: int
) -> None:
    checkup = checkup_of(tmp_path, *settings)
    checkup.tokenizer = SimpleNamespace(source_size=400, target_size=400)  # type: ignore[assignment]
    asked = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    free = gigabytes
    finding = check_sizes(checkup)
    assert finding.message.startswith("34,304 parameters; ")
    assert f" checkpoints of {megabytes} MB, the best and the model need 0.00 GB of 0.0 GB free" in finding.message
    free = gigabytes - 1
    with pytest.raises(StorageError, match=r", but .* has 0\.00 GB free \(free some space, "):
        check_sizes(checkup)
    assert asked == [tmp_path, tmp_path]


def test_micro_batches_are_tried_up_to_a_whole_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*settings: str, free: int, taken: int) -> Finding:
        monkeypatch.setattr(devices, "free_memory", lambda _: free)
        monkeypatch.setattr(memory, "micro_batch_cost", lambda *_: lambda tokens: tokens * taken)
        found.append(prepared(tmp_path, *settings))
        shutil.rmtree(tmp_path / "scratch" / "tokenizer")
        check_batching(found[-1])
        return check_memory(found[-1])

    found: list[Checkup] = []
    gib = 2**30
    whole = tried(free=4 * gib, taken=2**20)
    assert whole.level == "OK"
    assert " padded tokens is one micro-batch and takes " in whole.message
    assert whole.message.endswith(" of 4.0 GiB; the longest dev sentences fit")
    assert found[-1].micro_batch == memory.longest_step(found[-1].trainer.pairs, found[-1].trainer.steps)
    cut = tried("batching.tokens_per_step=5000", free=4 * gib, taken=2**20)
    assert " padded tokens is cut into micro-batches of 2,048, which take 2.00 of 4.0 GiB; " in cut.message
    assert (cut.level, found[-1].micro_batch) == ("OK", 2048)
    wanted = ("batching.tokens_per_step=5000", "batching.micro_batch_tokens=4000")
    assert tried(*wanted, free=4 * gib, taken=2**20).message.endswith("; a micro-batch of 4,000 may not fit")
    assert tried(*wanted, free=40 * gib, taken=2**20).level == "OK"
    compiled: list[object] = []
    monkeypatch.setattr(profiling, "compile_now", compiled.append)
    check_memory(found[-1])
    assert not compiled
    found[-1].left_out, found[-1].trainer.updater.working.compiled = ["dev"], True
    assert check_memory(found[-1]).message.endswith("; the longest training sentences in place of dev fit")
    assert compiled == [found[-1].trainer]  # before the clock of the trials runs


def test_the_layers_are_compiled_as_the_training_will_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "compiler_works", lambda _: True)
    compiled: list[Model] = []
    monkeypatch.setattr(Model, "compile_layers", lambda model: compiled.append(model))
    checkup = prepared(tmp_path, "training.compile=true")
    check_batching(checkup)
    assert compiled == [checkup.trainer.updater.working]


def test_the_time_is_that_of_steps_validations_and_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkup = prepared(tmp_path, "training.max_steps=201")
    check_batching(checkup)
    tokens = sum(int(length) for length in checkup.train.tgt_lengths) / len(checkup.trainer.steps.plan(0))
    monkeypatch.setattr(profiling, "training_speed", lambda *_: (tokens / 1.5, 0.5))
    monkeypatch.setattr(profiling, "translation_speed", lambda _: 4.0)
    # 201 steps of 2 seconds, 3 validations of 10 sentences, 20 sentences of the test.
    assert check_time(checkup) == Finding(
        "OK",
        f"about 10m 02s: 201 steps of 2.00 s ({tokens / 2:,.0f} target tokens a second), 3 validations of 40s, "
        "the tests 1m 20s",
    )
    checkup.left_out = ["dev"]
    assert check_time(checkup).message.endswith(" a second), the tests 1m 20s; not included: dev")
    checkup.left_out = []
    for extra, level in ((7 * 86_400 - 602, "OK"), (7 * 86_400 - 601, "warning")):
        monkeypatch.setattr(profiling, "translation_speed", lambda _, extra=extra: 4.0 + extra / 50)
        assert check_time(checkup).level == level
    assert check_time(checkup).message.endswith("; that is more than 7 days")
