"""The sections [batching], [optimizer] and [training]: defaults, and keys that must agree."""

import pytest
from sections import finding

from nmt.config.training import BatchingConfig, OptimizerConfig, TrainingConfig


def test_a_best_average_may_have_more_checkpoints_than_are_kept_and_one_of_the_last_may_not() -> None:
    message = "average_checkpoints = 6 needs keep_checkpoints of at least that, not 5"
    assert finding(TrainingConfig, average_checkpoints=6) == ("", f"Value error, {message}")
    assert TrainingConfig(average_checkpoints=6, average="best").keep_checkpoints == 5
    assert TrainingConfig(average_checkpoints=6, keep_checkpoints=6).average == "last"


def test_the_metric_follows_the_objective() -> None:
    assert TrainingConfig.model_validate({"objective": "denoising"}).best_metric == "loss"
    assert TrainingConfig.model_validate({"objective": "translation"}).best_metric == "bleu"
    assert TrainingConfig.model_validate({"objective": "masked", "best_metric": "loss"}).best_metric == "loss"
    message = 'best_metric = "chrf": objective = "masked" makes no translations to score; take "loss"'
    assert finding(TrainingConfig, objective="masked", best_metric="chrf") == ("", f"Value error, {message}")


def test_the_defaults_of_bookkeeping() -> None:
    training = TrainingConfig()
    assert (training.checkpoint_every, training.validate_every, training.log_every) == (1000, 1000, 100)
    assert (training.keep_checkpoints, training.seed, training.device, training.precision) == (5, 1, "auto", "float32")
    assert (training.best_metric, training.patience, training.ema_decay) == ("bleu", None, None)
    assert (training.compile, training.tensorboard, training.init_from) == (False, False, None)
    assert BatchingConfig().micro_batch_tokens == "auto"


@pytest.mark.parametrize("value", [1, 7, "auto", None])
def test_micro_batches_have_a_size_or_are_found_or_off(value: object) -> None:
    assert BatchingConfig.model_validate({"micro_batch_tokens": value}).micro_batch_tokens == value


def test_a_whole_number_is_fit_for_a_fraction() -> None:
    assert OptimizerConfig.model_validate({"learning_rate": 1}).learning_rate == 1.0
