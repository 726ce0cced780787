"""The settings of the server."""

import pytest
from pydantic import ValidationError

from nmt.config.serving import ServingConfig


def test_by_default_it_listens_to_this_machine_and_trusts_nobody() -> None:
    config = ServingConfig()
    assert (config.host, config.cors, config.allow_host, config.proxy) == ("127.0.0.1", [], [], [])
    assert (config.api_keys, config.requests_per_minute, config.metrics, config.log_requests) == (
        None,
        None,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cors": ["example.org"]}, "an origin is like https://example.org, without a path, or *"),
        ({"cors": ["*", "https://example.org/"]}, "an origin is like https://example.org, without a path, or *"),
        ({"allow_host": ["*", "https://example.org"]}, "a name is like translate.example.org, without scheme, port"),
        ({"allow_host": ["example.org:80"]}, "a name is like translate.example.org, without scheme, port"),
        ({"allow_host": ["a b"]}, "a name is like translate.example.org, without scheme, port"),
        ({"proxy": ["proxy"]}, "a proxy is an address such as 10.0.0.1, or a network such as 10.0.0.0/8"),
        ({"proxy": ["10.0.0.1/8"]}, "a proxy is an address such as 10.0.0.1, or a network such as 10.0.0.0/8"),
        ({"root_path": "translator"}, "String should match pattern"),
        ({"root_path": "/translator/"}, "String should match pattern"),
    ],
)
def test_names_of_others_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("*", r"\*")):
        ServingConfig.model_validate(values)


def test_origins_proxies_and_paths() -> None:
    values = {"cors": ["*", "http://localhost:8080"], "proxy": ["10.0.0.0/8", "::1"], "root_path": "/a/b-c"}
    assert ServingConfig.model_validate(values).model_dump(include=set(values)) == values
