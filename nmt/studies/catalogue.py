"""The studies that nmt has."""

from nmt.studies.base import AnyStudy
from nmt.studies.length_generalization import LengthGeneralization

STUDIES: tuple[AnyStudy, ...] = (LengthGeneralization(),)
