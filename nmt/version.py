"""The version of nmt, and how its optional extras are installed."""

from pathlib import Path

__version__ = "0.1.0"
DISTRIBUTION = "nmt-toolkit"  # name on PyPI: there `nmt` is another package
ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds the package: a checkout, or where packages are installed."""
TRAINING = ("datasets", "huggingface_hub", "jinja2", "matplotlib", "pyarrow", "sacrebleu", "safetensors", "torch")
"""Packages that training, scoring and translating with PyTorch need, and serving with CTranslate2 does not."""
EXTRAS = {
    **dict.fromkeys(TRAINING, "train"),
    **dict.fromkeys(("fastapi", "httptools", "prometheus_client", "python_multipart", "uvicorn", "uvloop"), "serve"),
    "ctranslate2": "ctranslate2",
    "onnx": "argos",
    "openpyxl": "xlsx",
    "py3langid": "langid",
    "simplemma": "lemmas",
    "tensorboard": "tensorboard",
    "transformers": "huggingface",
}
"""The extra that installs each package that is not needed always."""


def install_hint(extra: str) -> str:
    """Return the command that installs an optional extra: in the checkout that nmt runs from, or from PyPI."""
    is_checkout = (ROOT / "pyproject.toml").is_file()
    return f'pip install -e ".[{extra}]"' if is_checkout else f'pip install "{DISTRIBUTION}[{extra}]"'


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Return a line that says how to install the package missed by `error`; None if no extra has it."""
    extra = EXTRAS.get(error.name or "")
    return extra and f"the package {error.name} is not installed ({install_hint(extra)})"
