"""The studies of nmt: each with a name, a help, fields that are explained, and a grid of named folders."""

import re

from nmt.studies.base import configure
from nmt.studies.catalogue import STUDIES


def test_each_study_is_complete() -> None:
    assert len({study.name for study in STUDIES}) == len(STUDIES)
    for study in STUDIES:
        assert re.fullmatch(r"[a-z0-9-]+", study.name)
        assert (study.__doc__ or "").strip()
        assert study.says
        assert all(field.description for field in study.config.model_fields.values())
        assert study.config.quick.keys() <= study.config.model_fields.keys()
        for is_quick in (False, True):
            names = [cell.name for cell in study.cells(configure(study, [], is_quick=is_quick, seed=None))]
            assert names
            assert len({*names}) == len(names)
            assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=,-]*", name) for name in names)
