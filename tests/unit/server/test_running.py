"""The process: its socket, its limits, and the loading of models again."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import QuotaConfig, ServingConfig
from nmt.errors import ArtifactError, UsageError
from nmt.server.guard import Guard
from nmt.server.keys import add_key
from nmt.server.models import Models
from nmt.server.running import Reloader, allow_files, bind, load_models, uvicorn_config
from nmt.server.service import Service


def load(*named: tuple[str | None, Path]) -> Models:
    return load_models(named, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)


@pytest.fixture
def models(tiny_model: Path) -> Iterator[Models]:
    models = load((None, tiny_model))
    yield models
    models.close()


def wait_for(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_an_address_that_cannot_be_had_is_one_line() -> None:
    with bind("127.0.0.1", 0) as free, socket.create_server(("127.0.0.1", 0)) as taken:
        assert free.getsockname()[0] == "127.0.0.1"
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on 127.0.0.1 port {port}: Address already in use \(take"):
            bind("127.0.0.1", port)
    for host in ("192.0.2.1", "no.such.host.invalid", "a" * 70):
        with pytest.raises(UsageError, match=rf"cannot listen on {host} port 0: .* \(take another --port or --host\)"):
            bind(host, 0)


def test_where_a_model_cannot_be_loaded_none_stays(tiny_model: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ArtifactError):
        load((None, tiny_model), ("other", tmp_path))
    with pytest.raises(UsageError, match="two models are called tiny"):
        load((None, tiny_model), (None, tiny_model))
    wait_for(lambda: not set(threading.enumerate()) - before)


def test_uvicorn_believes_no_headers_and_bounds_all(models: Models) -> None:
    config = uvicorn_config(Service(models, ServingConfig(receive_timeout=2, timeout=3, root_path="/a")))
    assert (config.proxy_headers, config.ws, config.access_log, config.server_header) == (False, "none", False, False)
    assert (config.timeout_graceful_shutdown, config.root_path, config.lifespan) == (6, "/a", "off")
    assert isinstance(config.app, Guard)


@pytest.mark.parametrize(("limits", "wanted"), [((100, 5000), 600), ((100, 500), 500), ((1000, 5000), None)])
def test_as_many_files_as_connections_may_be_open(
    limits: tuple[int, int], wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: limits)
    monkeypatch.setattr("resource.setrlimit", lambda _, pair: changed.append(pair))
    allow_files(600)
    assert changed == ([] if wanted is None else [(wanted, limits[1])])


def test_what_cannot_be_loaded_again_goes_on(
    models: Models, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.toml"
    key = add_key(path, "a", QuotaConfig())
    service = Service(models, ServingConfig(api_keys=str(path)))
    bundle = shutil.copytree(tiny_model, tmp_path / "model")
    reload = Reloader(service, lambda: load((None, bundle)))
    path.write_text("")
    reload()
    wait_for(lambda: service.models is not models)
    assert service.gate.keys is not None
    assert service.gate.keys.find(key) == "a"
    now = service.models
    path.unlink()
    other = add_key(path, "b", QuotaConfig())
    shutil.rmtree(bundle)
    reload()
    wait_for(lambda: service.gate.keys is not None and service.gate.keys.find(other) == "b")
    said: list[str] = []

    def is_said() -> bool:
        said.append(capsys.readouterr().err)
        return "the models" in said[-1]

    wait_for(is_said)
    assert service.models is now
    keys, loaded, rest = "".join(said).splitlines()
    assert keys.startswith(f"nmt: warning: the keys were not loaded again, those before go on: {path}: holds no key")
    assert loaded == "serve: en to de: tiny"
    assert rest.startswith(f"nmt: warning: the models were not loaded again, those before go on: {bundle}")
    now.close()


def test_a_call_while_it_loads_is_not_for_nothing(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    started, may_go = threading.Event(), threading.Event()
    calls: list[int] = []

    def slow() -> Models:
        calls.append(1)
        started.set()
        may_go.wait(10)
        return models

    service = Service(models, ServingConfig())
    monkeypatch.setattr(service, "reload", lambda _: None)
    reload = Reloader(service, slow)
    reload()
    assert started.wait(10)
    for _ in range(5):
        reload()
    may_go.set()
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "reload"])
    assert len(calls) == 2
