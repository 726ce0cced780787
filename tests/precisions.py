"""The precisions of inference that tests run in."""

import pytest

from nmt.model.int8 import is_exact

in_int8 = pytest.mark.skipif(not is_exact(), reason="this processor has no exact 8-bit products")
"""Marks tests that compute in int8."""
precisions = pytest.mark.parametrize("precision", ["float32", pytest.param("int8", marks=in_int8)])
