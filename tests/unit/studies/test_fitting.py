"""The training of a study's network: it goes on from checkpoints with the same bits, and says where it diverged."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.config.training import OptimizerConfig
from nmt.errors import ArtifactError
from nmt.model.protocol import Network
from nmt.model.regression import VectorNetwork
from nmt.studies.fitting import fit
from nmt.training.checkpoint import WEIGHTS
from nmt.training.optimizer import learning_rate
from nmt.training.updater import Updater

OPTIMIZER = OptimizerConfig(learning_rate=0.01, warmup_steps=2, schedule="linear")
STEPS = 20


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_network() -> VectorNetwork:
    torch.manual_seed(3)
    shape = {"d_model": 8, "heads": 2, "encoder_layers": 0, "decoder_layers": 1, "dropout": 0.0, "norm": "pre"}
    return VectorNetwork(ModelConfig.model_validate({"architecture": "decoder-only", **shape}), 3, 1)


def loss_of(network: Network, batch: Tensor) -> tuple[Tensor, Tensor]:
    loss = network(batch[..., :3], torch.ones(1, 4, 4, dtype=torch.bool)).sub(batch[..., 3:]).square().sum()
    return loss, loss.detach()


class Killed(Exception):  # noqa: N818
    pass


def train(
    folder: Path, *, dies_at: int = 0, spoiled_from: int = 1000, identity: str = "a"
) -> tuple[Network, int | None]:
    def batch_of(step: int) -> tuple[Tensor, int]:
        if step == dies_at:
            raise Killed
        batch = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(step))
        return batch * (torch.nan if step >= spoiled_from else 1), 8

    network = make_network()
    named = {"name": identity}
    return network, fit(network, batch_of, loss_of, OPTIMIZER, steps=STEPS, seed=1, folder=folder, identity=named)


def bits(network: Network) -> bytes:
    return b"".join(weight.numpy().tobytes() for weight in network.weights().values())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("step", [1, 2, 3, 11, 12, 20])
def test_a_training_that_was_killed_ends_with_the_same_bits(
    tmp_path: Path, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, diverged = train(tmp_path / "whole")
    assert diverged is None
    assert bits(whole) != bits(make_network())
    with pytest.raises(Killed):
        train(tmp_path / "killed", dies_at=step)
    capsys.readouterr()
    again, _ = train(tmp_path / "killed")
    newest = (step - 1) // 2 * 2  # a checkpoint is a tenth of the training
    assert (f"resuming after step {newest}\n" in capsys.readouterr().err) == bool(newest)
    assert bits(again) == bits(whole)
    assert names(tmp_path / "killed") == ["step-00000018", "step-00000020"]
    finished, _ = train(tmp_path / "killed", dies_at=1)  # takes no step
    assert bits(finished) == bits(whole)


def test_an_older_checkpoint_serves_where_the_newest_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = train(tmp_path)
    (tmp_path / "step-00000020" / WEIGHTS).write_bytes(b"")
    (tmp_path / ".step-00000020.1.partial").touch()
    capsys.readouterr()
    again, _ = train(tmp_path)
    said = capsys.readouterr().err
    assert "nmt: warning: " in said
    assert "; going on from an older checkpoint\n" in said
    assert "resuming after step 18\n" in said
    assert bits(again) == bits(whole)
    assert names(tmp_path) == ["step-00000018", "step-00000020"]


def test_checkpoints_of_other_fields_are_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(ArtifactError) as caught:
        train(tmp_path, identity="b")
    path = tmp_path / "step-00000020"
    assert str(caught.value) == f"{path}: a checkpoint of other fields (take another --run-dir)"


def test_five_skipped_updates_in_a_row_are_the_end_also_when_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, diverged = train(tmp_path, spoiled_from=7)
    assert diverged == 11
    assert all(bool(weight.isfinite().all()) for weight in network.weights().values())
    said = "nmt: warning: diverged: 5 updates in a row have an abnormal loss, up to step 11\n"
    assert capsys.readouterr().err.endswith(said)
    again, diverged = train(tmp_path, spoiled_from=7)
    assert diverged == 11
    assert bits(again) == bits(network)
    assert train(tmp_path / "few", spoiled_from=STEPS - 3)[1] is None


def test_the_learning_rate_is_that_of_the_schedule_and_losses_are_of_a_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, apply = [], Updater.apply

    def recording(self: Updater[Network], step: int, *, rate: float, tokens: int) -> object:
        seen.append((step, rate, tokens))
        return apply(self, step, rate=rate, tokens=tokens)

    monkeypatch.setattr(Updater, "apply", recording)
    train(tmp_path)
    wanted = [learning_rate(step, OPTIMIZER, d_model=1, max_steps=STEPS) for step in range(1, STEPS + 1)]
    assert seen == [(step, rate, 8) for step, rate in enumerate(wanted, 1)]
