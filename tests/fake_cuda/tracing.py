"""Trace whole updates, the loss of dev and steps of a beam search on the fake CUDA device that `guard.py` loads.

Prints one JSON object: for each case the number of its operators and its faults. A fault is an operator that touches
another device, one that makes the host wait for the device, or a tensor of the state that is elsewhere. Then the
graphs of compiled layers are counted.
"""

import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nmt.config.decoding import DecodingConfig
from nmt.config.model import STACKS, ModelConfig
from nmt.config.training import OptimizerConfig
from nmt.data.encoding.dataset import Batch, Pairs
from nmt.inference.constraints import Constraints
from nmt.inference.protocol import Row
from nmt.inference.search import BeamState, Decoder, advance, extend
from nmt.model import windows
from nmt.model.families import build
from nmt.model.protocol import Model
from nmt.training import updater as updating
from nmt.training.objectives import translation_loss
from nmt.training.updater import Updater

V, ROWS, SHAPES = 50, 6, 8
COMPILE = nn.Module.compile
SHAPE = {"d_model": 16, "heads": 2, "ffn": 24, "activation_dropout": 0.1}
CUDA = torch.device("cuda", 0)
OPTIONS: dict[str, tuple[Any, ...]] = {
    "architecture": tuple(STACKS),
    "precision": ("bfloat16", "float32"),
    "norm": ("post", "pre"),
    "positions": ("sinusoidal", "learned", "rotary"),
    "activation": ("relu", "gelu", "silu", "swiglu"),
    "tied_embeddings": ("all", "target", "none"),
    "attention_dropout": (0.0, 0.1),
    "attention_window": (None, 3),
    "algorithm": ("adam", "muon"),
    "more": (False, True),  # two micro-batches, clipping, a moving average
}
Case = dict[str, Any]
PLANTED: dict[str, Callable[[Tensor], object]] = {
    "item": Tensor.item,
    "truth": bool,
    "nonzero": Tensor.nonzero,
    "unique": torch.unique,
    "to the host": Tensor.cpu,
    "from the host": lambda loss: torch.tensor(1.0, device=loss.device),
    "on the host": lambda _: torch.ones(2),
    "mixed": lambda loss: loss + torch.ones(1),
}
"""What must be found if it is done with the loss of an update."""


OF_NUMBERS = {torch.ops.prim.device.default, torch.ops.aten.lift_fresh.default, torch.ops.aten.fill_.Tensor}
"""Operators by which `tensor[...] = number` fills: the number goes to the device as an argument of the kernel."""


class OneMode(FakeTensorMode):
    """A mode that is not copied with the tensors of a model that is copied, for modes do not mix."""

    def __deepcopy__(self, memo: dict[int, object]) -> "OneMode":
        return self


class Watch(TorchDispatchMode):
    """Counts operators, and records those that touch another device than the GPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators = 0
        self.faults: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        if func not in OF_NUMBERS:
            self.operators += 1
            tensors = [value for value in tree_leaves((args, kwargs, out)) if isinstance(value, Tensor)]
            if strange := [str(tensor.device) for tensor in tensors if tensor.device != CUDA]:
                self.faults.append(f"{func} on {strange[0]}, {where(traceback.extract_stack())}")
        return out


def where(frames: traceback.StackSummary) -> str:
    """Return the innermost line of nmt among `frames`."""
    of_nmt = [frame for frame in frames if "/nmt/" in frame.filename]
    return f"{of_nmt[-1].filename.rpartition('/nmt/')[2]}:{of_nmt[-1].lineno}" if of_nmt else "outside nmt"


@contextmanager
def watching(report: dict[str, Any]) -> Iterator[Watch]:
    """Watch a block; write its operators and faults into `report`.

    The first error ends the block; an operator that has to wait is one.
    """
    watch = Watch()
    try:
        with watch:
            yield watch
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, DataDependentOutputException | DynamicOutputShapeException):
            what = f"{error.func} waits"
        watch.faults.append(f"{what}, {where(traceback.extract_tb(error.__traceback__))}")
    report["operators"] = report.get("operators", 0) + watch.operators
    report["faults"] = [*report.get("faults", []), *watch.faults]


CONVERTED: dict[tuple[int, int], tuple[object, nn.Parameter, nn.Parameter]] = {}
"""By conversion and parameter, with both: of a parameter that modules share there is one new one."""


def convert_parameters(module: nn.Module, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """Convert `module` as `nn.Module._apply` does, by new parameters: fake ones cannot be changed in place."""
    for child in module.children() if recurse else ():
        child._apply(convert)
    for name, old in module._parameters.items():
        if old is not None:
            key = id(convert), id(old)
            if key not in CONVERTED:
                CONVERTED[key] = convert, old, nn.Parameter(convert(old.detach()), old.requires_grad)
            module._parameters[name] = CONVERTED[key][-1]
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = convert(buffer)
    return module


def pairwise(options: Mapping[str, tuple[Any, ...]]) -> list[Case]:
    """Return few cases in which each value of an option meets each value of every other option."""
    every = [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]
    every = [case for case in every if case["attention_window"] is None or "encoder" in case["architecture"]]

    def pairs(case: Case) -> set[tuple[Any, ...]]:
        return set(itertools.combinations(case.items(), 2))

    missing = set().union(*map(pairs, every))
    cases = []
    while missing:
        cases.append(max(every, key=lambda case: len(pairs(case) & missing)))
        missing -= pairs(cases[-1])
    return cases


class FewPairs(Pairs):
    """A few sentence pairs, of different lengths unless the sources are not to be padded; targets are longer."""

    def __init__(self, seed: int, *, padded: bool) -> None:
        generator = torch.Generator().manual_seed(seed)
        src, tgt = (torch.randint(start, start + 7, (ROWS,), generator=generator) for start in (6, 14))
        src = src if padded else src[:1].expand(ROWS)
        self.rows = [
            [torch.randint(4, V, (int(n),), generator=generator).numpy().astype("uint16") for n in side]
            for side in (src, tgt)
        ]
        self.src_lengths, self.tgt_lengths = (src + 1).numpy(), (tgt + 1).numpy()

    def sides(self, indices: Any) -> Any:
        return tuple([side[index] for index in indices.tolist()] for side in self.rows)


def fake_batch(mode: FakeTensorMode, seed: int, rows: int = ROWS) -> Batch:
    """Return a batch on the fake device; of every third one the sources have no padding."""
    with unset_fake_temporarily():
        batch = FewPairs(seed, padded=seed % 3 > 0).collate(range(rows))
    tensors = (batch.src, batch.tgt_in, batch.labels, batch.label_indices)
    return Batch(*(mode.from_tensor(tensor).to(CUDA) for tensor in tensors), src_padded=batch.src_padded)


def make_model(case: Case, layers: int = 1) -> Model:
    shape = {key: value for key, value in case.items() if key in ModelConfig.model_fields}
    stacks = dict.fromkeys(STACKS[case["architecture"]], layers)
    return build(ModelConfig.model_validate(SHAPE | stacks | shape), V, V).to(CUDA)


def make_updater(case: Case, *, layers: int = 1, compiled: bool = False) -> Updater[Any]:
    more = case["more"]
    config = OptimizerConfig(algorithm=case["algorithm"], clip_norm=1.0 if more else None)
    return Updater(
        make_model(case, layers), config, case["precision"], ema_decay=0.9 if more else None, compiled=compiled
    )


def trace_updates(mode: FakeTensorMode, case: Case) -> dict[str, Any]:
    """Trace an update, and the optimizer's next step, which finds its state."""
    report: dict[str, Any] = {}
    updater = make_updater(case)
    batches = [fake_batch(mode, seed) for seed in range(1 + case["more"])]
    tokens = sum(batch.target_tokens for batch in batches)
    with watching(report):
        updater.accumulate(batches, seed=1, smoothing=0.1, tokens=tokens)
        updater.apply(1, rate=1e-3, tokens=tokens)
        result = updater.apply(2, rate=1e-3, tokens=tokens)
    if not report["faults"]:
        state = {
            **vars(result),
            **{f"{file} {n}": t for file, part in updater.state().items() for n, t in part.items()},
        }
        own = {key: value for key, value in vars(updater).items() if isinstance(value, Tensor)}
        tensors = {key: value for key, value in {**state, **own}.items() if isinstance(value, Tensor)}
        report["state"] = len(tensors)
        report["faults"] += [f"{key} on {value.device}" for key, value in tensors.items() if value.device != CUDA]
    return report


def trace_planted(mode: FakeTensorMode, planted: Callable[[Tensor], object]) -> dict[str, Any]:
    """Trace updates whose loss something is done with that must be found."""

    def loss_of(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        loss, nll = translation_loss(*args, **kwargs)
        planted(loss)
        return loss, nll

    setattr(updating, "translation_loss", loss_of)  # noqa: B010
    try:
        return trace_updates(mode, first_values())
    finally:
        setattr(updating, "translation_loss", translation_loss)  # noqa: B010


@torch.inference_mode()
def trace_inference(mode: FakeTensorMode, case: Case) -> dict[str, Any]:
    """Trace the loss of dev, all attention, and steps of a beam search between two looks at the finished sentences."""
    report: dict[str, Any] = {}
    model = make_model(case).to(getattr(torch, case["precision"])).eval()
    batch = fake_batch(mode, 1)
    with watching(report):
        translation_loss(model, batch, smoothing=0.0)
        model.attention_maps(batch.src, batch.tgt_in)
    rows = [Row([5, 6], [8], frozenset({9})), Row([7], [9, 8], frozenset({6, 7}))]
    constraints = Constraints(DecodingConfig(no_repeat_ngram=2), rows, 20, CUDA)
    decoder = Decoder([model], batch.src[:2], constraints)
    empty = torch.zeros(2, 4, 1, dtype=torch.long, device=CUDA), torch.zeros(2, 4, device=CUDA)
    state = BeamState(empty[0][:, 0, 0], empty[0][:, :1], empty[1][:, :1], *empty)
    with watching(report):
        for _ in range(3):
            ((part, logits, norms),) = decoder.next(state.tokens)
            candidates = extend(state.totals[part], logits, norms, 8)
            state, parents = advance(state, *candidates, 0.6)
            decoder.reorder(parents)
    return report


def trace_graphs(mode: FakeTensorMode, case: Case) -> dict[str, Any]:
    """Count the graphs of compiled layers by kind, over random shapes of batches, and those of the later shapes."""
    torch._dynamo.reset()
    counters.clear()
    kinds: list[str] = []

    def record(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        is_decoder = any("cross_attention" in node.name for node in graph.graph.nodes)
        kinds.append("decoder" if is_decoder else "encoder")
        return graph.forward

    def compile_module(module: nn.Module, **options: Any) -> None:
        COMPILE(module, backend=record, **options)

    nn.Module.compile = compile_module  # type: ignore[method-assign, assignment]
    working = make_updater(case, layers=2, compiled=True).working.train()
    nn.Module.compile = COMPILE  # type: ignore[method-assign]
    counts = []
    for number in range(SHAPES):
        working.loss_inputs(fake_batch(mode, number, rows=3 + number % 4))
        counts.append(len(kinds))
    report = {"breaks": sum(counters["graph_break"].values()), "late": counts[-1] - counts[SHAPES // 2]}
    return report | {kind: kinds.count(kind) for kind in ("encoder", "decoder")}


def first_values() -> Case:
    return {option: values[0] for option, values in OPTIONS.items()}


def name_of(case: Case) -> str:
    return " ".join(str(value) for value in case.values())


def main() -> None:
    """Trace everything, and print the reports."""
    nn.Module._apply = convert_parameters  # type: ignore[method-assign]
    windows.SIZE = 8  # so that the sentences are longer than a block
    with OneMode() as mode:
        cases = pairwise(OPTIONS)
        of_each = [next(case for case in cases if case["architecture"] == family) for family in STACKS]
        report = {
            "updates": {name_of(case): trace_updates(mode, case) for case in cases},
            "inference": {name_of(case): trace_inference(mode, case) for case in of_each[:3]},
            "graphs": {name_of(case): trace_graphs(mode, case) for case in of_each},
            "planted": {name: trace_planted(mode, planted) for name, planted in PLANTED.items()},
        }
        assert isinstance(torch.ones(1), FakeTensor)
    json.dump(report, sys.stdout)
