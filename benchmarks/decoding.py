"""Time translating: nmt's engines beside other toolkits with the same weights and the same pieces, interleaved.

    python benchmarks/decoding.py --model BUNDLE --source FILE --reference FILE [--contestants a,b,c] [--json FILE]

Each contestant first tries its ways to use the machine on some lines and keeps the fastest; then all take turns,
`rounds` times, each in a process of its own. Figures are medians. Other toolkits are those that `make bench-peers` has
installed. With --size a model of random weights takes the place of BUNDLE's; its hypotheses are all of one length.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contestants import choose
from decoders import DECODERS, Decoder, Settings, sweep
from training import write_record

if TYPE_CHECKING:
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.inference.bundle import Bundle

MARKS = ("ctranslate2-float32", "ctranslate2-int8", "huggingface")
"""Contestants that the others are compared with."""

EVEN_PIECES = 20
"""Length of the lines for a model that never ends a sentence."""

Figures = dict[str, dict[str, Any]]


def open_model(model: Path) -> Bundle:
    """Open the bundle. Exits where the other toolkits have no such model."""
    from nmt.inference.bundle import open_bundle

    bundle = open_bundle(model)
    if bundle.config.model.tied_embeddings != "all" or bundle.config.model.positions != "sinusoidal":
        sys.exit(f"{model}: the contestants have all embeddings tied, and sinusoids")
    return bundle


def write_random_bundle(bundle: Bundle, preset: str, folder: Path) -> None:
    """Write a bundle of random weights and the sizes of `preset`; all else is that of `bundle`.

    Its model never ends a sentence: every hypothesis gets as long as it may.
    """
    import torch

    from nmt.config.model import ModelConfig
    from nmt.data.encoding.tokenizer import EOS_ID, PAD_ID
    from nmt.inference.bundle import write_bundle
    from nmt.model.encoder_decoder import Transformer

    torch.manual_seed(1)
    config = ModelConfig.model_validate({"preset": preset, "norm": bundle.config.model.norm})
    size = bundle.tokenizer.target_size
    weights = Transformer(config, size, size, pad_id=PAD_ID).weights()
    # Its logit is 0 then, far under the likeliest of thousands of random ones.
    weights["target_embedding.weight"][EOS_ID] = 0
    changes = {"name": f"random-{preset}", "model": config, "protect": None}
    write_bundle(folder, weights, bundle.path, {}, bundle.config.model_copy(update=changes))


def cut_evenly(lines: list[str], tokenizer: Tokenizer) -> list[str]:
    """Cut the text anew into lines of EVEN_PIECES pieces each, so that every hypothesis may be as long as any other."""
    ids = [piece for row in tokenizer.source.encode(lines) for piece in row]
    rows = [ids[start : start + EVEN_PIECES] for start in range(0, len(ids) - EVEN_PIECES + 1, EVEN_PIECES)]
    texts = tokenizer.source.decode(rows)
    return [text for text, row in zip(texts, tokenizer.source.encode(texts), strict=True) if len(row) == EVEN_PIECES]


def product_rates() -> dict[str, float]:
    """Return the rates, in 10^9 operations a second, of the engine's products of 160 rows, on one thread."""
    import torch

    from nmt.model.int8 import Int8Product, is_exact, quantize
    from nmt.model.layers import Linear

    threads, linear, x = torch.get_num_threads(), Linear(256, 1024, bias=False), torch.randn(160, 256)
    levels, scales = quantize(linear.weight.detach())
    product = Int8Product(levels, scales.flatten(), None, 0.03)
    rows = product.quantize(x)
    work: dict[str, Callable[[], object]] = {"int8": lambda: product.multiply(rows)} if is_exact() else {}
    for kind in (torch.float32, torch.bfloat16):
        packed, inputs = Linear(256, 1024, bias=False).to(kind), x.to(kind)
        packed.pack()
        work[str(kind).removeprefix("torch.")] = partial(packed, inputs)
    torch.set_num_threads(1)
    with torch.inference_mode():
        seconds = {name: min(timeit.repeat(run, number=100, repeat=9)) for name, run in work.items()}
    torch.set_num_threads(threads)
    return {name: 2e-9 * 160 * 256 * 1024 * 100 / best for name, best in seconds.items()}


def export(bundle: Path, decoders: Sequence[Decoder], sample: Path | None) -> None:
    """Write into `bundle` the exports that the contestants need, tried on `sample` or by default on nmt's own."""
    for name in {decoder.engine for decoder in decoders if decoder.engine.startswith("ctranslate2")}:
        command = [sys.executable, "-m", "nmt", "export", str(bundle), "--to", "ctranslate2", "--name", name]
        command += ["--quantization", name.removeprefix("ctranslate2-")]
        command += ["--sample", str(sample)] if sample else []
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name} could not be exported:\n{done.stderr[-2000:]}")


def measure(decoders: Sequence[Decoder], settings: Settings, rounds: int, sweep_lines: int) -> Figures:
    """Sweep, then let the contestants take turns; return what each did in all rounds."""
    found: Figures = {}
    for decoder in decoders:
        variant, threads, times = sweep(decoder, settings, min(sweep_lines, settings.lines))
        found[decoder.name] = {"variant": variant, "threads": threads, "sweep": times, "rounds": []}
        print(f"sweep: {decoder.name} takes {variant}; for one line {threads} threads", file=sys.stderr)
    for number in range(rounds):
        for decoder in decoders:
            mine = found[decoder.name]
            done = decoder.translate(settings, mine["variant"], decoder.lines(settings))
            done |= decoder.translate_singly(settings, mine["threads"], decoder.single_lines(settings))
            if decoder.of_nmt:
                done["first_seconds"] = decoder.answer(settings, mine["threads"])
            mine["rounds"].append(done)
            print(f"round {number + 1} of {rounds}: {decoder.name} is done", file=sys.stderr)
    return found


def summarize(found: Figures, bundle: Bundle, references: list[str], *, is_random: bool) -> Figures:
    """Return the figures of each contestant: medians over the rounds, and what its translations are worth."""
    from nmt.evaluation.metrics import resolve_tokenizer, score

    tokenize = resolve_tokenizer(bundle.config.evaluation.tokenize, bundle.config.languages.target)
    first = next(iter(found.values()))["rounds"][0]["texts"]
    figures: Figures = {}
    for name, mine in found.items():
        rounds = mine["rounds"]
        texts = rounds[0]["texts"]
        pieces = sum(len(ids) + 1 for ids in bundle.tokenizer.target.encode(texts))
        speeds = [(done["pieces"] if is_random else pieces) / done["seconds"] for done in rounds]
        row = {
            "version": rounds[0]["version"],
            "variant": str(mine["variant"]),
            "threads_for_one_line": mine["threads"],
            "lines": len(texts),
            "tokens_per_second": statistics.median(speeds),
            "min": min(speeds),
            "max": max(speeds),
            "sentences_per_second": statistics.median(len(texts) / done["seconds"] for done in rounds),
            "seconds_per_1000_lines": statistics.median(1000 * done["seconds"] / len(texts) for done in rounds),
            "process_seconds": statistics.median(done["process_seconds"] for done in rounds),
            "first_seconds": statistics.median(done["first_seconds"] for done in rounds),
            "peak_mib": max(done["peak_mib"] for done in rounds),
            "sweep": mine["sweep"],
        }
        for search in ("beam", "greedy"):
            row[f"{search}_p50_ms"] = statistics.median(statistics.median(done[search]) for done in rounds)
            row[f"{search}_p95_ms"] = statistics.median(statistics.quantiles(done[search], n=20)[18] for done in rounds)
        if not is_random:
            bleu = score(texts, [references[: len(texts)]], tokenize=tokenize, metrics=("bleu",))["bleu"]
            same = sum(map(str.__eq__, texts, first)) / min(len(texts), len(first))
            row |= {"bleu": bleu["score"], "signature": bleu["signature"], "same_as_first": same}
        figures[name] = row
    return figures


def show(figures: Figures, left_out: dict[str, str]) -> None:
    """Print the tables: all lines at once, one line at a time; who is left out."""
    marks = [mark for mark in MARKS if mark in figures]
    heads = [
        "",
        "processes x threads, batch",
        "tok/s",
        "min",
        "max",
        "lines/s",
        "s",
        "process s",
        "MiB",
        "BLEU",
        "same",
    ]
    fewest, most = (chosen(row["lines"] for row in figures.values()) for chosen in (min, max))
    rows = []
    for name, row in figures.items():
        worth = [f"{row['bleu']:.2f}", f"{row['same_as_first']:.1%}"] if "bleu" in row else ["-", "-"]
        cells = [name, row["variant"], *(f"{row[key]:,.0f}" for key in ("tokens_per_second", "min", "max"))]
        cells += [f"{row[key]:,.1f}" for key in ("sentences_per_second", "seconds_per_1000_lines")]
        cells += [f"{row['process_seconds']:,.1f}" if row["lines"] == most else "-"]
        cells += [f"{row['peak_mib']:,.0f}", *worth]
        cells += [f"{row['tokens_per_second'] / figures[mark]['tokens_per_second']:.2f}" for mark in marks]
        rows.append(cells)
    table([*heads, *(f"x {mark}" for mark in marks)], rows)
    heads = ["", "threads", "first s", "beam p50 ms", "p95 ms", "greedy p50 ms", "p95 ms"]
    rows = [
        [
            *(name, str(row["threads_for_one_line"]), f"{row['first_seconds']:.2f}"),
            *(f"{row[f'{search}_{share}_ms']:.1f}" for search in ("beam", "greedy") for share in ("p50", "p95")),
        ]
        for name, row in figures.items()
    ]
    table(heads, rows)
    if fewest < most:
        few = ", ".join(name for name, row in figures.items() if row["lines"] < most)
        print(f"Of {most:,} lines the first {fewest:,} alone: {few}.")
    for signature in {row["signature"] for row in figures.values() if "signature" in row}:
        print(f"BLEU: {signature}")
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}; see `make bench-peers`")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def main() -> None:
    """Sweep, let the contestants take turns, and print medians and ratios."""
    from nmt.data.reading.archives import read_lines

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--contestants", help=", ".join(decoder.name for decoder in DECODERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument(
        "--slow-lines", "--joey-lines", type=int, default=200, help="lines for a contestant that is slow"
    )
    parser.add_argument("--single-lines", type=int, default=100, help="lines that are translated one at a time")
    parser.add_argument("--sweep-lines", type=int, default=500)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--length-penalty", type=float, default=0.0, help="not 0 means something else in each toolkit")
    parser.add_argument("--extra-length", type=int, help="default 50; 0 with --size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--size",
        choices=("tiny", "small", "base", "big"),
        help="take random weights of this size, and lines of equal length",
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    decoders, left_out = choose(options.contestants, DECODERS)
    bundle = open_model(options.model)
    sources, references = (list(read_lines(path)) for path in (options.source, options.reference))
    if len(sources) != len(references):
        sys.exit(f"{options.source} has {len(sources):,} lines but {options.reference} has {len(references):,}")
    if options.size:
        sources = cut_evenly(sources, bundle.tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        folder, text = Path(scratch) / "model", Path(scratch) / "source.txt"
        text.write_text("".join(line + "\n" for line in sources), encoding="utf-8")
        few = Path(scratch) / "few.txt"  # a model that never ends a sentence takes minutes for a whole sample
        few.write_text("".join(line + "\n" for line in sources[:4]), encoding="utf-8")
        if options.size:
            write_random_bundle(bundle, options.size, folder)
        else:
            shutil.copytree(options.model, folder, ignore=shutil.ignore_patterns("exports"))
        export(folder, decoders, few if options.size else None)
        extra = 0 if options.size else 50
        settings = Settings(
            text=str(text),
            bundle=str(folder),
            lines=min(options.lines, len(sources)),
            slow_lines=options.slow_lines,
            single_lines=min(options.single_lines, options.lines, len(sources)),
            beam_size=options.beam_size,
            length_penalty=options.length_penalty,
            extra_length=extra if options.extra_length is None else options.extra_length,
            threads=options.threads,
        )
        found = measure(decoders, settings, options.rounds, options.sweep_lines)
    figures = summarize(found, bundle, references, is_random=options.size is not None)
    show(figures, left_out)
    rates = product_rates()
    listed = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    print(f"\nProducts of 160 x 256 with 256 x 1,024 on one thread, 10^9 operations a second: {listed}")
    if options.json:
        shared = {name: value for name, value in asdict(settings).items() if name not in ("text", "bundle")}
        shared |= {"model": bundle.config.name, "weights": bundle.config.files["model.safetensors"]}
        write_record(options.json, figures, left_out, shared | {"size": options.size, "product_rates": rates})


if __name__ == "__main__":
    main()
