"""Exports on Hugging Face's Hub, by its own client."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

from nmt.errors import StorageError, UsageError

NAME = re.compile(r"[\w.-]+/[\w.-]+")
LOGIN = "log in: hf auth login"


def check_push(repository: str) -> None:
    """Raise UsageError where `repository` is no OWNER/NAME or nobody is logged in, StorageError without an answer."""
    if not NAME.fullmatch(repository):
        raise UsageError(f"--push {repository}: not OWNER/NAME")
    with failing(repository):
        huggingface_hub.HfApi().whoami()


def push(folder: Path, repository: str) -> str:
    """Upload `folder` to the Hub's `repository`, which is made, private, where it is not there; return its address.

    Raises UsageError where nobody is logged in, or may not; StorageError where the Hub does not answer or refuses.
    """
    api = huggingface_hub.HfApi()
    with failing(repository):
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="A model trained with nmt")
    return str(address)


@contextmanager
def failing(repository: str) -> Iterator[None]:
    """Turn the failures of the Hub's client into errors of one line."""
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"--push {repository}: {_line(error)}") from None
    except LocalTokenNotFoundError:
        raise UsageError(f"--push {repository}: nobody is logged in to the Hub", hint=LOGIN) from None
    except Exception as error:  # the client's HTTP package, and so its errors, are others in other versions
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            problem = f"--push {repository}: the Hub refuses: {_line(error)}"
            raise UsageError(problem, hint=f"{LOGIN}, with a token that may write there") from None
        problem = f"--push {repository}: {_line(error)}"
        raise StorageError(problem, hint="the export is kept; run again, or upload it: hf upload") from None


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
