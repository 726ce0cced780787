"""Quotas that refill evenly, one for each client."""

import ipaddress
import time
from collections import OrderedDict

FOREVER = float("inf")
MOST_CLIENTS = 10_000  # addresses remembered: the least recent one is forgotten for a new one
NETWORK = 64  # bits of an IPv6 address that are its owner's


class Quota:
    """An amount that refills evenly to `most` within `seconds`: a burst may take all of it at once."""

    def __init__(self, most: float, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self._left, self._at = most, time.monotonic()

    def take(self, amount: float = 1) -> float:
        """Take `amount` and return 0; where it is not there, return the seconds until it will be."""
        now = time.monotonic()
        self._left = min(self.most, self._left + (now - self._at) * self.most / self.seconds)
        self._at = now
        if amount > self.most:
            return FOREVER
        if amount > self._left:
            return (amount - self._left) * self.seconds / self.most
        self._left -= amount
        return 0.0


class Quotas:
    """The quotas of clients by their names or addresses, of which a bounded number is remembered."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._of: OrderedDict[str, Quota] = OrderedDict()

    def take(self, client: str, most: float | None, amount: float = 1) -> float:
        """Take `amount` of the `most` that `client` has in the time; see `Quota.take`."""
        if most is None:
            return 0.0
        quota = self._of.pop(client, None)
        if quota is None or quota.most != most:
            quota = Quota(most, self.seconds)
        self._of[client] = quota
        if len(self._of) > MOST_CLIENTS:
            self._of.popitem(last=False)
        return quota.take(amount)


def network_of(address: str) -> str:
    """Return what the quotas of `address` go by: itself, or the network of its owner in IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, NETWORK), strict=False))
    return address
