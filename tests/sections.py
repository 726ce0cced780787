"""What is wrong with the values of a section."""

from typing import Any

import pytest
from pydantic import ValidationError

from nmt.config.section import Section


def finding(section: type[Section], **values: Any) -> tuple[str, str]:
    """Return field and message of the one thing that is wrong with `values`."""
    with pytest.raises(ValidationError) as caught:
        section.model_validate(values)
    (error,) = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]
