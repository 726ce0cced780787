"""Time the gain of each of nmt's CPU optimisations: its bfloat16 update with one of them switched off at a time.

    python benchmarks/leads.py --run-dir RUN [--rounds 3] [--steps 20] [--json FILE]

RUN is a run folder whose data is prepared. Each variant runs in a process of its own, in turn, `rounds` times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training import work

WARM_UP = 3


def default_malloc() -> str:
    """Leave malloc as it is."""
    from nmt import runtime

    runtime.keep_freed_memory = lambda: None
    return "nmt-bfloat16"


def bernoulli_dropout() -> str:
    """Draw dropout as torch does, one Bernoulli number an element."""
    from torch.nn import functional as F

    from nmt.model.layers import Dropout

    setattr(Dropout, "forward", lambda self, x: F.dropout(x, self.p, self.training))  # noqa: B010
    return "nmt-bfloat16"


def short_softmax() -> str:
    """Take torch's softmax of rows shorter than a vector, too."""
    from nmt.model import layers

    layers.VECTOR = 0
    return "nmt-bfloat16"


def fused_attention() -> str:
    """Take torch's fused attention kernel in place of two batched products."""
    from torch.nn import functional as F

    from nmt.model.layers import Attention

    def attend(self: Any, x: Any, keys: Any, values: Any, mask: Any, **_: Any) -> Any:
        context = F.scaled_dot_product_attention(self.queries(x), keys, values, attn_mask=mask)
        return self.output(context.transpose(1, 2).flatten(-2))

    setattr(Attention, "attend", attend)  # noqa: B010
    return "nmt-bfloat16"


def whole_logits() -> str:
    """Make all logits at once and let cross_entropy take them, in float32."""
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from nmt.training import objectives

    def loss(hidden: Tensor, weight: Tensor, labels: Tensor, *, smoothing: float) -> tuple[Tensor, Tensor]:
        logits = F.linear(hidden, weight).float()
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum"), torch.zeros(())

    setattr(objectives, "smoothed_loss", loss)  # noqa: B010
    return "nmt-bfloat16"


def autocast() -> str:
    """Cast within the pass, by autocast, instead of computing on a bfloat16 copy; the loss is `whole_logits`."""
    import torch

    from nmt.training.updater import Updater

    whole_logits()
    accumulate = Updater.accumulate

    def cast(self: Any, batches: Any, **values: Any) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            accumulate(self, batches, **values)

    setattr(Updater, "accumulate", cast)  # noqa: B010
    return "nmt-float32"


def nothing() -> str:
    """Take nothing away."""
    return "nmt-bfloat16"


VARIANTS: dict[str, Callable[[], str]] = {
    "all": nothing,
    "without kept pages": default_malloc,
    "without dropout from bits": bernoulli_dropout,
    "without padded rows of the attention softmax": short_softmax,
    "without two-product attention": fused_attention,
    "without the chunked loss": whole_logits,
    "without the bfloat16 copy and the chunked loss": autocast,
}


def main() -> None:
    """Run the variants in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(work(VARIANTS[options.variant](), options.run_dir, WARM_UP, options.steps)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name in VARIANTS:
            command = [sys.executable, __file__, "--variant", name, "--run-dir", str(options.run_dir)]
            done = subprocess.run([*command, "--steps", str(options.steps)], check=True, capture_output=True)
            found[name].append(json.loads(done.stdout))
    figures = {
        name: {key: statistics.median(row[key] for row in rows) for key in ("tokens_per_second", "peak_mib")}
        for name, rows in found.items()
    }
    print(f"{'':48}{'tok/s':>8}{'MiB':>8}{'with it':>9}")
    for name, row in figures.items():
        ratio = figures["all"]["tokens_per_second"] / row["tokens_per_second"]
        print(f"{name:48}{row['tokens_per_second']:8,.0f}{row['peak_mib']:8,.0f}{ratio:8.2f}x")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
