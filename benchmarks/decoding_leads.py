"""Time the gain of each of the native engine's CPU optimisations: one of them is switched off at a time.

    python benchmarks/decoding_leads.py --model MODEL --source FILE [--rounds 3] [--lines 500] [--json FILE]

Beam size 5, one process of one thread. Each variant runs in a process of its own, in turn, `rounds` times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nmt import Translator
from nmt.config.decoding import InferencePrecision

SINGLE_LINES = 40


def plain_weights() -> None:
    """Keep weights as they are trained."""
    from nmt.model.layers import Linear

    setattr(Linear, "pack", lambda _: None)  # noqa: B010


def three_products() -> None:
    """Compute queries apart from keys and values."""
    from nmt.model.layers import SelfAttention

    setattr(SelfAttention, "fuse", lambda _: None)  # noqa: B010


def keys_in_rows() -> None:
    """Keep each key of the memory in sequence."""
    from nmt.model import encoder_decoder

    setattr(encoder_decoder, "columns", lambda keys: keys.contiguous())  # noqa: B010


def whole_logits() -> None:
    """Make the logits of a step at once."""
    from nmt.inference import search

    search.CHUNK = 2**30


def full_search() -> None:
    """Look for the best extensions among all pieces."""
    from torch import Tensor

    from nmt.inference import search

    def extend(totals: Tensor, logits: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        vocab = logits.size(-1)
        best, flat = ((totals - norms)[..., None] + logits).flatten(1).topk(count)
        return best, flat // vocab, flat % vocab

    search.extend = extend


def log_softmax() -> None:
    """Take the norms from torch's log-softmax."""
    from nmt.inference import search

    search.log_norms = lambda logits: logits[..., 0] - logits.log_softmax(-1)[..., 0]


def separate_norms() -> None:
    """Scale and round rows after the norm."""
    from nmt.model.int8 import Int8Product

    setattr(Int8Product, "fold", lambda *_: None)  # noqa: B010


def tiny_exponentials() -> None:
    """Let the exponentials of attention come near 0."""
    from nmt.model import int8

    int8.LEAST = float("-inf")


def exact_rows() -> None:
    """Compute no rows of padding, so that oneDNN makes code for each number of rows."""
    from nmt.model import int8

    int8.padded = lambda rows: rows


def nothing() -> None:
    """Take nothing away."""


FLOAT32: dict[str, Callable[[], None]] = {
    "all": nothing,
    "without weights laid out": plain_weights,
    "without one product for queries, keys and values": three_products,
    "without keys with positions in sequence": keys_in_rows,
    "without logits in parts": whole_logits,
    "without the search by blocks": full_search,
    "without norms from sums of exponentials": log_softmax,
}
INT8: dict[str, Callable[[], None]] = {
    "int8: all": nothing,
    "int8: without norms that scale and round": separate_norms,
    "int8: without a floor of exponentials": tiny_exponentials,
    "int8: without padded rows": exact_rows,
    "int8: without norms from sums of exponentials": log_softmax,
}


def work(variant: str, model: Path, lines: list[str]) -> dict[str, float]:
    """Return the processor's seconds for 1,000 lines, and the median of milliseconds for one."""
    {**FLOAT32, **INT8}[variant]()
    decoding = {"beam_size": 5, "length_penalty": 0.0, "min_length": 1, "batch_tokens": 2048}
    precision: InferencePrecision = "int8" if variant in INT8 else "float32"
    translator = Translator.load(model, decoding=decoding, threads=1, precision=precision, device="cpu")

    def seconds(some: list[str]) -> float:
        began = time.thread_time()
        translator.translate(some)
        return time.thread_time() - began

    seconds(lines[:100])
    one = statistics.median(seconds([line]) for line in lines[:SINGLE_LINES])
    return {"seconds": 1000 * seconds(lines) / len(lines), "one_line_ms": 1000 * one}


def main() -> None:
    """Run the variants in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        from nmt.data.reading.archives import read_lines

        lines = [line for line, _ in zip(read_lines(options.source), range(options.lines), strict=False)]
        print(json.dumps(work(options.variant, options.model, lines)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*FLOAT32, *INT8)}
    command = [sys.executable, *sys.argv]
    for _ in range(options.rounds):
        for name, rows in found.items():
            done = subprocess.run([*command, "--variant", name], check=True, capture_output=True)
            rows.append(json.loads(done.stdout))
    figures = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in found.items()
    }
    print(f"{'':56}{'s/1000':>8}{'with it':>9}{'one ms':>8}{'with it':>9}")
    for name, row in figures.items():
        whole = figures["int8: all" if name in INT8 else "all"]
        ratios = (row[key] / whole[key] for key in ("seconds", "one_line_ms"))
        gain, gain_of_one = (f"{ratio:.2f}x" for ratio in ratios)
        print(f"{name:56}{row['seconds']:8.2f}{gain:>9}{row['one_line_ms']:8.1f}{gain_of_one:>9}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
