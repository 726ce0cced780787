"""Who can be timed: nmt, plain torch loops, other toolkits in environments of their own; and how each is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"
TCMALLOC = PEERS / "tcmalloc" / "libtcmalloc_minimal.so.4"


@dataclass(frozen=True)
class Settings:
    """The settings that all contestants share."""

    size: dict[str, int]
    """Sizes of the model: d_model, ffn, heads, encoder_layers, decoder_layers."""
    tokens_per_step: int
    warm_up: int
    steps: int
    threads: int


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    adapter: str | None = None
    """The file in peers/ that times the toolkit; None: training.py times it itself."""
    environment: str | None = None
    """The toolkit's environment in .peers/."""
    tcmalloc: bool = False
    """Whether tcmalloc is preloaded."""

    @property
    def work(self) -> str:
        """The name of a contestant of training.py: `nmt`, `torch` or `products`, and the precision."""
        return self.name.removesuffix("-tcmalloc")

    @property
    def is_float32_as_shipped(self) -> bool:
        """Whether this is another toolkit in float32 with the allocator that it comes with."""
        return not (self.tcmalloc or self.name.startswith(("nmt-", "products-")) or self.name.endswith("bfloat16"))

    def missing(self) -> str | None:
        """Return the name of a missing folder, or None if everything is installed."""
        if self.environment and not (PEERS / self.environment / ".ready").exists():
            return f"no .peers/{self.environment}"
        return "no .peers/tcmalloc" if self.tcmalloc and not TCMALLOC.exists() else None

    def run(self, run: Path, corpus: Path, settings: Settings) -> dict[str, Any]:
        """Time it in a process of its own; return what it printed, tokens_per_second among it.

        `run` is the run folder, `corpus` what `write_corpus` made of it. Exits with the end of its messages where
        it fails.
        """
        with tempfile.TemporaryDirectory() as scratch:
            if self.adapter and self.environment:
                task = {**asdict(settings), "corpus": str(corpus), "scratch": scratch}
                python = str(PEERS / self.environment / "bin" / "python")
                command = [python, str(HERE / "peers" / self.adapter), json.dumps(task)]
            else:
                command = [sys.executable, str(HERE / "training.py"), "--contestant", self.work]
                command += ["--run-dir", str(run), "--steps", str(settings.steps), "--warm-up", str(settings.warm_up)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(settings.threads)}
            if self.tcmalloc:
                environment["LD_PRELOAD"] = str(TCMALLOC)
            done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.name} failed:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


CONTESTANTS = (
    Contestant("products-float32"),
    Contestant("products-bfloat16"),
    Contestant("nmt-float32"),
    Contestant("nmt-bfloat16"),
    Contestant("torch-float32"),
    Contestant("torch-float32-tcmalloc", tcmalloc=True),
    Contestant("torch-bfloat16"),
    Contestant("torch-bfloat16-tcmalloc", tcmalloc=True),
    Contestant("huggingface", "huggingface.py", "transformers"),
    Contestant("huggingface-tcmalloc", "huggingface.py", "transformers", tcmalloc=True),
    Contestant("marian", "marian.py", "pymarian"),
    Contestant("opennmt", "opennmt.py", "opennmt"),
    Contestant("joeynmt", "joey.py", "joeynmt"),
)


C = TypeVar("C", bound=Contestant)


def choose(names: str | None, contestants: Sequence[C]) -> tuple[list[C], dict[str, str]]:
    """Return the contestants of a comma-separated list (None: all) that can run, and why the others cannot."""
    known = {contestant.name: contestant for contestant in contestants}
    wanted = names.split(",") if names else list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no contestant {', '.join(unknown)}; there are {', '.join(known)}")
    left_out = {name: reason for name in wanted if (reason := known[name].missing())}
    return [known[name] for name in wanted if name not in left_out], left_out


def write_corpus(run: Path, folder: Path) -> None:
    """Write the training text of a run for the other toolkits: pieces, and the vocabulary in the order of its ids."""
    from nmt.data.cleaning.corpus_text import iterate_text
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.run_folder import RunFolder

    files = RunFolder(run)
    tokenizer = Tokenizer.load(files.tokenizer)
    if not tokenizer.joint:
        sys.exit(f"{files.tokenizer}: of two vocabularies; the contestants tie all embeddings, which needs a joint one")
    pairs = list(iterate_text(files.text, "train"))
    src = tokenizer.source.encode_pieces([source for source, _ in pairs])
    tgt = tokenizer.target.encode_pieces([target for _, target in pairs])
    # nmt drops pairs with an empty side when it encodes.
    both = [(source, target) for source, target in zip(src, tgt, strict=True) if source and target]
    for name, rows in (("src", [source for source, _ in both]), ("tgt", [target for _, target in both])):
        lines = "".join(" ".join(row) + "\n" for row in rows)
        (folder / f"train.{name}").write_text(lines, encoding="utf-8")
    vocabulary = "".join(f"{piece}\n" for piece in tokenizer.target.pieces(range(tokenizer.target_size)))
    (folder / "vocabulary.txt").write_text(vocabulary, encoding="utf-8")
