"""Quotas that refill evenly."""

import pytest

from nmt.server import quotas
from nmt.server.quotas import FOREVER, Quota, Quotas, network_of


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_a_quota_is_there_at_once_and_refills_evenly(clock: list[float]) -> None:
    quota = Quota(4, 60.0)
    assert [quota.take() for _ in range(5)] == [0, 0, 0, 0, 15]
    clock[0] += 14
    assert quota.take() == pytest.approx(1)
    clock[0] += 1
    assert quota.take() == 0
    assert quota.take(2) == pytest.approx(30)


def test_a_quota_does_not_grow_beyond_its_most(clock: list[float]) -> None:
    quota = Quota(2, 60.0)
    clock[0] += 3600
    assert [quota.take(2), quota.take(1)] == [0, 30]
    assert quota.take(2.5) == FOREVER


def test_clients_have_quotas_of_their_own_and_without_a_limit_none() -> None:
    of = Quotas(60.0)
    assert [of.take("a", 1), of.take("a", 1), of.take("b", 1)] == [0, 60, 0]
    assert [of.take("c", None)] * 3 == [0, 0, 0]
    assert of.take("a", 5) == 0, "another limit is another quota"


def test_the_least_recent_client_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MOST_CLIENTS", 2)
    of = Quotas(60.0)
    for client in "abac":
        of.take(client, 1)
    assert [of.take(client, 1) > 0 for client in ("a", "c", "b")] == [True, True, False]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_an_owner_of_many_ipv6_addresses_has_one_quota(address: str, network: str) -> None:
    assert network_of(address) == network
