"""The studies that nmt has."""

from nmt.studies.base import AnyStudy

STUDIES: tuple[AnyStudy, ...] = ()
