"""Checks of facts and numbers: what the machine is, and that it computes what a CPU computes."""

from __future__ import annotations

import itertools
import math
import platform
from typing import Any

import numpy as np
import torch
from gpu import stand_ins, workload
from gpu.harness import Bench
from gpu.workload import BASE, TINY, Size, difference, gradient_of, make_model, make_updater, pick, size_of
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn import functional as F
from torch.nn.attention import SDPBackend

from nmt import devices
from nmt.config.training import Precision
from nmt.data.encoding.dataset import Batch
from nmt.model.layers import Dropout
from nmt.training.loss import smoothed_loss

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
MOST_GRAPHS = 8
"""A kind of layer has one with a mask and one without, both twice where sizes are equal at first; the loss has two."""
DTYPES = (torch.bfloat16, torch.float32)


def facts(bench: Bench) -> None:
    """Versions, the card, and the kernel of attention, which must not be cuDNN's."""
    device = pick(bench)
    missing = stand_ins.missing(stand_ins.PACKAGES)
    bench.figures |= devices.machine() | {"python": platform.python_version(), "torch": torch.__version__}
    bench.figures |= {"missing": missing, "triton": not stand_ins.missing(["triton"])}
    if bench.is_gpu:
        card = torch.cuda.get_device_properties(device)
        bench.figures |= {"memory_gib": card.total_memory / 2**30, "capability": f"{card.major}.{card.minor}"}
        bench.figures["visible_gpus"] = torch.cuda.device_count()
        bench.expect(not torch.backends.cuda.cudnn_sdp_enabled(), "cuDNN attention is on")
        kept = torch.zeros(2**20, device=device)
        segments = torch.cuda.memory._snapshot()["segments"]
        bench.figures["expandable_segments"] = bool(len(kept)) and all(one.get("is_expandable") for one in segments)
        bench.expect(bench.figures["expandable_segments"], "the segments of the memory cannot grow")
    for dtype, (name, rows, queries, keys) in itertools.product(
        DTYPES, [("training", 100, 30, 30), ("decoding", 260, 4, 37), ("one", 1, 1, 1)]
    ):
        query, key = (torch.randn(rows, 8, length, 64, dtype=dtype, device=device) for length in (queries, keys))
        mask = torch.ones(rows, 1, 1, keys, dtype=torch.bool, device=device)
        for masked, attn_mask in (("masked", mask), ("unmasked", None)):
            choice = SDPBackend(torch._fused_sdp_choice(query, key, key, attn_mask=attn_mask))
            bench.figures[f"attention {name} {masked} {str(dtype)[6:]}"] = choice.name
            bench.expect(choice != SDPBackend.CUDNN_ATTENTION, f"cuDNN attention is chosen: {name}, {masked}, {dtype}")


def gradients(bench: Bench) -> None:
    """Loss and gradient in float32 against those of the CPU, and the error of bfloat16 against the CPU's."""
    device, host = pick(bench), torch.device("cpu")
    cases: list[tuple[Size, dict[str, Any]]] = [
        (TINY, {"norm": "post"}),
        (TINY, {"norm": "pre", "positions": "learned", "tied_embeddings": "none"}),
    ]
    for size, changed in cases if bench.quick else [*cases, (BASE, {})]:
        # On a CPU the base model takes seconds for a thousand tokens.
        (batch,) = workload.some_batches(size, 1, rows=24)
        found = {
            (place.type, precision): gradient_of(make_updater(size, place, precision, dropout=0.0, **changed), batch)
            for place in {host, device}
            for precision in PRECISIONS
        }
        loss, gradient = found["cpu", "float32"]
        name = "base" if size is BASE else " ".join(["tiny", *changed.values()])
        of_loss = abs(found[device.type, "float32"][0] / loss - 1)
        of_gradient, rounded, rounded_on_cpu = (
            difference(found[key][1], gradient)
            for key in ((device.type, "float32"), (device.type, "bfloat16"), ("cpu", "bfloat16"))
        )
        bench.figures[name] = {
            "loss": of_loss,
            "gradient": of_gradient,
            "bfloat16": rounded,
            "bfloat16_cpu": rounded_on_cpu,
        }
        bench.expect(of_loss <= 1e-5, f"{name}: the loss in float32 is not the CPU's to 1e-5")
        bench.expect(of_gradient <= 1e-4, f"{name}: the gradient in float32 is not the CPU's to 1e-4")
        bench.expect(rounded <= 1.5 * rounded_on_cpu, f"{name}: bfloat16 is farther from float32 than on a CPU")


def loss(bench: Bench) -> None:
    """The chunked loss and its gradients against F.cross_entropy on whole logits, and the time of both."""
    device, size = pick(bench), size_of(bench)
    width, generator = size.model.get("d_model", 512), torch.Generator().manual_seed(1)
    rows = size.tokens - 1
    values = [torch.randn(count, width, generator=generator) / width**0.25 for count in (rows, size.vocabulary)]
    labels = torch.randint(size.vocabulary, (rows,), generator=generator).to(device)
    for dtype, limit in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        hidden, weight = (value.detach().to(device, dtype).requires_grad_() for value in values)

        def mine(hidden: Tensor = hidden, weight: Tensor = weight) -> Tensor:
            value = smoothed_loss(hidden, weight, labels, smoothing=0.1)[0]
            value.backward()
            return value.detach()

        def whole(hidden: Tensor = hidden, weight: Tensor = weight) -> Tensor:
            logits = hidden.float() @ weight.float().T
            value = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
            value.backward()
            return value.detach()

        results = []
        for function in (mine, whole):
            hidden.grad = weight.grad = None
            results.append([function(), *(tensor.grad for tensor in (hidden, weight) if tensor.grad is not None)])
        errors = [difference(one.double(), other.double()) for one, other in zip(*results, strict=True)]
        name = str(dtype)[6:]
        bench.figures[name] = dict(zip(("loss", "d_hidden", "d_weight"), errors, strict=True))
        bench.expect(max(errors) <= limit, f"{name}: not F.cross_entropy to {limit}")
        bench.figures[name]["ms"] = workload.median_ms(device, mine, 3 if bench.quick else 10)
        bench.figures[name]["ms_whole_float32_logits"] = workload.median_ms(device, whole, 2)


def dropout(bench: Bench) -> None:
    """The share and the scale of what dropout keeps."""
    device, count = pick(bench), 10**5 if bench.quick else 10**8
    torch.manual_seed(1)
    for p, dtype in itertools.product((0.1, 0.3), DTYPES):
        out = Dropout(p).train()(torch.ones(count, dtype=dtype, device=device))
        kept = int(out.count_nonzero())
        deviations = abs(kept - count * (1 - p)) / math.sqrt(count * p * (1 - p))
        bench.figures[f"{p} {str(dtype)[6:]}"] = {"dropped": 1 - kept / count, "standard_deviations": deviations}
        bench.expect(deviations <= 4, f"{p} of {dtype}: {1 - kept / count} is dropped")
        bench.expect(abs(float(out.max()) * (1 - p) - 1) < 0.01, f"{p} of {dtype}: the rest is scaled by {out.max()}")


def padding(bench: Bench) -> None:
    """A sentence alone against the same one in a padded batch, in float32."""
    device, size = pick(bench), size_of(bench)
    model = make_model(size, device).eval()
    pairs = workload.make_pairs(size, 2)
    indices = np.arange(40)  # of all lengths, unlike those of a step
    with torch.no_grad():
        whole = pairs.collate(indices).to(device)
        together = model.hidden(whole.src, whole.tgt_in)
        worst = 0.0
        for number in range(0, len(indices), 8):
            alone: Batch = pairs.collate(indices[number : number + 1]).to(device)
            one = model.hidden(alone.src, alone.tgt_in)[0]
            worst = max(worst, difference(one, together[number, : len(one)]))
    bench.figures["difference"] = worst
    bench.expect(worst <= 1e-5, "a sentence alone has other hidden states")


def compiled_layers(bench: Bench) -> None:
    """The gradients of compiled layers against those of eager ones, in few graphs without a break."""
    device = pick(bench)
    batches = workload.some_batches(TINY, 4 if bench.quick else 12)
    with workload.eager_backend(bench):
        for precision in PRECISIONS:
            eager, exact = (make_updater(TINY, device, kind, dropout=0.0) for kind in (precision, "float32"))
            other = make_updater(TINY, device, precision, dropout=0.0, compiled=True)
            counters.clear()  # of the graph by which the compiler was tried
            differences, rounding, graphs = [], [], []
            for batch in batches:
                _, expected = gradient_of(exact, batch)
                rounding.append(difference(gradient_of(eager, batch)[1], expected))
                differences.append(difference(gradient_of(other, batch)[1], expected))
                graphs.append(counters["stats"]["unique_graphs"])
            limit = max(1e-4, 1.5 * max(rounding))
            bench.figures[precision] = {"difference": max(differences), "limit": limit} | of_graphs(bench, graphs)
            bench.expect(max(differences) <= limit, f"{precision}: compiled layers have other gradients")
            torch._dynamo.reset()


def of_graphs(bench: Bench, graphs: list[int]) -> dict[str, int]:
    """Return the graphs and breaks after all steps, of which `graphs` says how many graphs there were after each.

    Expect, on a GPU, no break, few graphs, and none in the later half of the steps.
    """
    breaks, late = sum(counters["graph_break"].values()), graphs[-1] - graphs[len(graphs) // 2]
    if bench.is_gpu:  # the branches for a CPU are not made for torch.compile
        bench.expect(0 < graphs[-1] <= MOST_GRAPHS, f"{graphs[-1]} graphs")
        bench.expect(late == 0, f"{late} graphs in the later half of the steps")
        bench.expect(breaks == 0, f"{breaks} graph breaks")
    return {"graphs": graphs[-1], "late_graphs": late, "graph_breaks": breaks}
