"""Who can be timed translating: nmt's engines and other toolkits; and how each is run and watched."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contestants import HERE, PEERS, Contestant

SAMPLED_EVERY = 0.1
"""Seconds between two samples of the memory."""


@dataclass(frozen=True)
class Settings:
    """The settings that all contestants share."""

    text: str
    """File of the lines to translate."""
    bundle: str
    """The model's folder, the exports for CTranslate2 in it."""
    lines: int
    slow_lines: int
    """Number of lines, from the first, for a slow contestant."""
    single_lines: int
    """Number of lines, from the first, to translate one at a time; a fifth of it for a slow contestant."""
    beam_size: int
    length_penalty: float
    extra_length: int
    """Largest number of pieces that a hypothesis may have more than its source."""
    threads: int
    """Threads of a contestant, or its processes or workers of one thread."""


@dataclass(frozen=True)
class Variant:
    """How a contestant may use the machine."""

    threads: int
    """Threads of each process or worker."""
    workers: int = 1
    """Processes or workers that translate different batches."""
    batch: int = 1
    """Sentences in a batch; for nmt its padded source tokens."""

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads}, {self.batch:,}"


@dataclass(frozen=True)
class Watched:
    """Output, times and memory of a process."""

    output: list[str]
    """Its lines."""
    first: float
    """Seconds from its start to its first line."""
    seconds: float
    """Seconds from its start to its end."""
    peak_mib: float
    """Most memory of it and its descendants; a page that several of them share counts once."""


@dataclass(frozen=True)
class Decoder(Contestant):
    """One row of the table; `adapter` is always there, and without an `environment` nmt's own Python runs it."""

    engine: str = "native-float32"
    """Engine and precision."""
    batches: Sequence[int] = (16, 32, 64)
    """Sizes of a batch to choose from."""
    shares: bool = False
    """Whether several processes or workers can share the lines."""
    is_slow: bool = False

    @property
    def of_nmt(self) -> bool:
        """Whether this is one of nmt's engines."""
        return self.name.startswith("nmt")

    def missing(self) -> str | None:
        """Say what is not installed; None where nothing lacks."""
        if self.engine.startswith("ctranslate2") and importlib.util.find_spec("ctranslate2") is None:
            return 'no ctranslate2 in nmt\'s own environment, which exports the model: pip install -e ".[ctranslate2]"'
        return super().missing()

    def variants(self, threads: int) -> list[Variant]:
        """Return all ways to use `threads` threads."""
        ways = [(threads, 1)] + ([(1, threads)] if self.shares and threads > 1 else [])
        return [Variant(*way, batch) for way in ways for batch in self.batches]

    def lines(self, settings: Settings) -> int:
        """Return how many lines it translates."""
        return min(settings.lines, settings.slow_lines) if self.is_slow else settings.lines

    def single_lines(self, settings: Settings) -> int:
        """Return how many lines it translates one at a time."""
        return max(2, settings.single_lines // (5 if self.is_slow else 1))

    def translate(self, settings: Settings, variant: Variant, lines: int) -> dict[str, Any]:
        """Translate `lines` lines; return seconds with and without all around, peak memory, texts and pieces."""
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch) / "translations.json"
            watched = self._run(settings, variant, {"single": False, "lines": lines, "output": str(output)})
            found = json.loads(output.read_text(encoding="utf-8"))
        return {
            **json.loads(watched.output[-1]),
            "process_seconds": watched.seconds,
            "peak_mib": watched.peak_mib,
            "texts": [text for text, _ in found],
            "pieces": sum(pieces for _, pieces in found),
        }

    def translate_singly(self, settings: Settings, threads: int, lines: int) -> dict[str, Any]:
        """Translate `lines` lines one at a time; return their milliseconds, and seconds to the first translation."""
        variant = Variant(threads, batch=self.batches[-1])
        watched = self._run(settings, variant, {"single": True, "lines": lines, "output": ""})
        return {**json.loads(watched.output[-1]), "first_seconds": watched.first}

    def answer(self, settings: Settings, threads: int) -> float:
        """Return the seconds from the start of `nmt translate` to the translation of a line that is piped into it."""
        kind, precision = self.engine.split("-")
        engine = ["--engine", kind, "--export", self.engine] if kind == "ctranslate2" else ["--precision", precision]
        with Path(settings.text).open(encoding="utf-8") as text:
            line = text.readline()
        command = [sys.executable, "-m", "nmt", "translate", settings.bundle, *engine, "--threads", str(threads)]
        command += ["--beam-size", str(settings.beam_size), "--length-penalty", str(settings.length_penalty)]
        command += ["--max-extra-length", str(settings.extra_length)]
        return watch(self.name, command, threads, line).first

    def _run(self, settings: Settings, variant: Variant, values: dict[str, Any]) -> Watched:
        """Run the adapter."""
        python = str(PEERS / self.environment / "bin" / "python") if self.environment else sys.executable
        task = {
            **{name: getattr(settings, name) for name in ("text", "bundle", "beam_size", "length_penalty")},
            "extra_length": settings.extra_length,
            "engine": self.engine,
            **{name: getattr(variant, name) for name in ("threads", "workers", "batch")},
            **values,
        }
        command = [python, str(HERE / "peers" / str(self.adapter)), json.dumps(task)]
        return watch(self.name, command, variant.threads)


def watch(name: str, command: Sequence[str], threads: int, line: str = "") -> Watched:
    """Run `command` with `line` as its input. Exits with the end of its messages where it fails."""
    with tempfile.TemporaryFile("w+") as messages:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        peaks = [0.0]

        def sample() -> None:
            while process.poll() is None:
                peaks.append(memory(process.pid))
                time.sleep(SAMPLED_EVERY)

        sampler = threading.Thread(target=sample)
        sampler.start()
        with suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.close()
        output = [process.stdout.readline()]
        first = time.perf_counter() - started
        output += process.stdout.readlines()
        code = process.wait()
        seconds = time.perf_counter() - started
        sampler.join()
        if code:
            messages.seek(0)
            sys.exit(f"{name} failed:\n{messages.read()[-2000:]}")
    return Watched(output, first, seconds, max(peaks))


def memory(process: int) -> float:
    """Return the MiB that Linux says `process` and its descendants have, shared pages by their share."""
    kib = 0
    with suppress(OSError):  # it may have ended
        for row in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if row.startswith("Pss:"):
                kib = int(row.split()[1])
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            kib += round(1024 * sum(memory(int(child)) for child in children.read_text(encoding="ascii").split()))
    return kib / 1024


TOKENS = (1024, 2048, 4096)

DECODERS = (
    Decoder("nmt-float32", "decode_nmt.py", engine="native-float32", batches=TOKENS, shares=True),
    Decoder("nmt-bfloat16", "decode_nmt.py", engine="native-bfloat16", batches=TOKENS, shares=True),
    Decoder("nmt-int8", "decode_nmt.py", engine="native-int8", batches=TOKENS, shares=True),
    Decoder("nmt-ctranslate2-float32", "decode_nmt.py", engine="ctranslate2-float32", batches=TOKENS),
    Decoder("nmt-ctranslate2-int8", "decode_nmt.py", engine="ctranslate2-int8", batches=TOKENS),
    Decoder("ctranslate2-float32", "decode_ctranslate2.py", "ctranslate2", engine="ctranslate2-float32", shares=True),
    Decoder("ctranslate2-int8", "decode_ctranslate2.py", "ctranslate2", engine="ctranslate2-int8", shares=True),
    Decoder("huggingface", "decode_huggingface.py", "transformers", batches=(32, 64, 128)),
    Decoder("joeynmt", "decode_joey.py", "joeynmt", batches=(20,), is_slow=True),
)


def sweep(decoder: Decoder, settings: Settings, lines: int) -> tuple[Variant, int, Mapping[str, float]]:
    """Return the variant that is fastest on `lines` lines, the threads that are best for one at a time, and all times.

    Times are seconds; for one line at a time they are medians of milliseconds.
    """
    variants = decoder.variants(settings.threads)
    times: dict[str, float] = {}
    best = variants[0]
    if len(variants) > 1:
        seconds = {variant: decoder.translate(settings, variant, lines)["seconds"] for variant in variants}
        times |= {str(variant): value for variant, value in seconds.items()}
        best = min(seconds, key=lambda variant: seconds[variant])
    few = min(20, decoder.single_lines(settings))
    middles = {}
    for threads in sorted({1, settings.threads}):
        found = sorted(decoder.translate_singly(settings, threads, few)["beam"])
        middles[threads] = found[len(found) // 2]
    times |= {f"singly, {threads} threads": value for threads, value in middles.items()}
    return best, min(middles, key=lambda threads: middles[threads]), times
