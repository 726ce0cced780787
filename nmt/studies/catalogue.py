"""The studies that nmt has."""

from typing import Any

from nmt.studies.base import Study
from nmt.studies.in_context_regression import InContextRegression

STUDIES: tuple[Study[Any, Any], ...] = (InContextRegression(),)
