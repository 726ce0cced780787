"""Time attention within a window beside full attention, by the length of the input.

    python benchmarks/attention_window.py [--window 128] [--lengths 256,512] [--memory 12] [--rounds 3] [--json FILE]

A pass is forward and backward over one sequence in float32: of the self-attention of an encoder layer of width 256, as
in the other benchmarks, with its projections, and of the whole layer. Each length is measured in a process of its own,
with full attention and with the window in turn, `rounds` times. Figures are medians of the processor's seconds, for
which other work on the machine counts less, of a second pass, and of the peak memory of the first pass of a layer. Full
attention ends where four times the memory of half the length is more than `memory` GiB.
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

SIZE = {"d_model": 256, "ffn": 1024, "heads": 4}
LENGTHS = "256,512,1024,2048,4096,8192,16384"
UNITS = {"attention": ("s", 3), "layer": ("s", 3), "memory": ("MiB", 0)}
Figures = dict[str, float]


def work(length: int, window: int | None, threads: int) -> Figures:
    """Return the seconds of both passes over `length` pieces, and the peak memory of that of the layer in MiB."""
    import torch

    from nmt.config.model import ModelConfig
    from nmt.devices import measuring_memory
    from nmt.model.encoder_decoder import EncoderLayer
    from nmt.runtime import bound_kernels, keep_freed_memory

    keep_freed_memory()
    bound_kernels()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    layer = EncoderLayer(ModelConfig(attention_window=window, max_length=length, **SIZE))  # type: ignore[arg-type]
    x = torch.randn(1, length, SIZE["d_model"], requires_grad=True)

    def seconds_of(run: Callable[[], torch.Tensor]) -> float:
        started = time.process_time()
        run().sum().backward()
        return time.process_time() - started

    def run_layer() -> torch.Tensor:
        output: torch.Tensor = layer(x, None)
        return output

    def run_attention() -> torch.Tensor:
        output: torch.Tensor = layer.self_attention(x, None, None)
        return output

    with measuring_memory(torch.device("cpu")) as peak:
        seconds_of(run_layer)
    memory = peak() / 2**20
    return {"attention": seconds_of(run_attention), "layer": seconds_of(run_layer), "memory": memory}


def measure(length: int, window: int | None, threads: int) -> Figures:
    """Return what `work` returns in a new process."""
    command = [sys.executable, __file__, "--case", json.dumps([length, window, threads])]
    figures: Figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


def compare(lengths: list[int], window: int, rounds: int, threads: int, memory: float) -> dict[int, dict[str, Figures]]:
    """Return the medians of the window, and of full attention as far as it has room, by length."""
    table: dict[int, dict[str, Figures]] = {}
    largest = 0.0  # MiB that the next length is expected to need
    for length in lengths:
        sizes = {"full": None, "window": window} if largest <= memory * 1024 else {"window": window}
        found: dict[str, list[Figures]] = {name: [] for name in sizes}
        for _ in range(rounds):
            for name, size in sizes.items():
                found[name].append(measure(length, size, threads))
        table[length] = {
            name: {key: statistics.median(row[key] for row in rows) for key in UNITS} for name, rows in found.items()
        }
        largest = 4 * table[length]["full"]["memory"] if "full" in sizes else largest
    return table


def show(table: dict[int, dict[str, Figures]]) -> None:
    """Print the table, with the ratios of full attention to the window."""
    heads = [f"{key}, {unit}: full | window | ratio" for key, (unit, _) in UNITS.items()]
    print(f"| pieces | {' | '.join(heads)} |\n|{'---|' * (1 + 3 * len(UNITS))}")
    for length, row in table.items():
        cells = []
        for key, (_, digits) in UNITS.items():
            own, full = row["window"][key], row.get("full", {}).get(key)
            compared = ("", "") if full is None else (f"{full:,.{digits}f}", f"{full / own:.1f}")
            cells += [compared[0], f"{own:,.{digits}f}", compared[1]]
        print(f"| {length:,} | {' | '.join(cells)} |")


def main() -> None:
    """Measure all lengths and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--lengths", default=LENGTHS)
    parser.add_argument("--memory", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(work(*json.loads(options.case))))
        return
    lengths = sorted(int(length) for length in options.lengths.split(","))
    table = compare(lengths, options.window, options.rounds, options.threads, options.memory)
    show(table)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
