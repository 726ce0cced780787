"""Models of the Hugging Face Hub: fetched at a commit, into the Hub's own cache."""

import re
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars

from nmt import console
from nmt.errors import ArtifactError
from nmt.importing.marian import NEEDED, OPTIONAL
from nmt.importing.weights import WEIGHTS

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TIMEOUT = 30.0  # seconds to wait for the Hub to say what a model consists of


@dataclass(frozen=True)
class Fetched:
    """A model on this machine."""

    folder: Path
    revision: str  # its commit


def two_lines(error: Exception) -> str:
    """Return the first lines of an error of the Hub, which say the status and what was asked."""
    return " ".join(filter(None, str(error).split("\n")[:4])) or type(error).__name__


def is_name(origin: str) -> bool:
    """Return whether `origin` is the name of a model on the Hub, and nothing is at that path here."""
    return NAME.fullmatch(origin) is not None and not Path(origin).exists()


def fetch(name: str, revision: str | None) -> Fetched:
    """Fetch the files of the model `name` that an import reads. Raises ArtifactError.

    A branch or a tag, by default the main branch, stands for its commit at this moment.
    """
    disable_progress_bars()
    huggingface_hub.utils.logging.get_logger("huggingface_hub").setLevel("ERROR")
    try:
        found = HfApi().model_info(name, revision=revision, timeout=TIMEOUT)
        there = {file.rfilename for file in found.siblings or []}
        weights = [file for file in WEIGHTS if file in there][:1]
        wanted = [*NEEDED, *OPTIONAL, *weights]
        console.log(f"import: fetching {name} at {found.sha}")
        folder = snapshot_download(name, revision=found.sha, allow_patterns=wanted)
    except Exception as error:  # the package documents no set of exceptions
        hint = "check its name, --revision and the network, or fetch the files elsewhere and name their folder"
        raise ArtifactError(f"{name}: not fetched from the Hub: {two_lines(error)}", hint=hint) from error
    return Fetched(Path(folder), str(found.sha))
