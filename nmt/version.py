"""The version of nmt, and how its optional extras are installed."""

from pathlib import Path

__version__ = "0.1.0"
DISTRIBUTION = "nmt-toolkit"  # name on PyPI: there `nmt` is another package
ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds the package: a checkout, or where packages are installed."""


def install_hint(extra: str) -> str:
    """Return the command that installs an optional extra: in the checkout that nmt runs from, or from PyPI."""
    is_checkout = (ROOT / "pyproject.toml").is_file()
    return f'pip install -e ".[{extra}]"' if is_checkout else f'pip install "{DISTRIBUTION}[{extra}]"'
