"""Windows of attention in blocks so small that short sentences have several."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nmt.model import windows


@contextmanager
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SIZE", 2)
        patch.setattr(windows, "ALIGNED", 1)
        yield
