"""The study `length-generalization`: are tasks that are learned on short inputs solved on longer ones?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field, PositiveInt

from nmt.config.section import Count
from nmt.config.tasks import DISTINCT, MANY, Length, TaskConfig, TaskName
from nmt.config.toml import check
from nmt.config.training import Algorithm
from nmt.studies.base import Cell, Results, Rows, Study, StudyConfig
from nmt.tasks.algorithmic import TASKS, generate

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from nmt.files import JsonObject

Kind = Literal["sinusoidal", "learned", "rotary", "none"]
Start = Literal["zero", "random"]
Family = Literal["decoder-only", "encoder-decoder"]
Percent = Annotated[float, Field(ge=0, le=100)]
HEADS = 4
DEV_PAIRS = 50
VOCABULARY = 100  # pieces at most, besides the symbols of the task
SAMPLE = 200  # examples that the longest are taken from
WIDTH = 4  # inches of a panel


class LengthGeneralizationConfig(StudyConfig):
    """The fields of `length-generalization`."""

    quick: ClassVar[Mapping[str, object]] = {
        "tasks": ["mode", "sort", "count", "parity"],
        "positions": ["learned", "rotary"],
        "seeds": 1,
        "pairs": 20_000,
        "test_pairs": 30,
        "d_model": 64,
        "layers": 4,
        "steps": 450,
        "tokens_per_step": 1000,
    }
    tasks: list[TaskName] = Field(default=[*get_args(TaskName)])
    """Algorithmic tasks; `nmt recipe explain data.train.NAME.task` names them."""
    positions: list[Kind] = Field(default=[*get_args(Kind)])
    """Position encodings, as of `model.positions`; `none` is for decoder-only alone."""
    starts: list[Start] = Field(default=[*get_args(Start)])
    """First position of a training pair: `zero`, or `random`, so that all positions of the longest test are trained;
    of sinusoidal and learned positions alone, as rotations and no positions are the same wherever a pair starts."""
    families: list[Family] = Field(default=[*get_args(Family)])
    """Model families, as of `model.architecture`."""
    seeds: Annotated[PositiveInt, Field(le=1000)] = 3
    """Number of models of each setting, with consecutive seeds from `seed`."""
    train_length: Length = 40
    """Longest training example; all lengths up to it are equally likely."""
    test_lengths: list[Length] = Field(default=[*range(10, 101, 10)])
    """Lengths that are tested, each by itself."""
    pairs: Count = 500_000
    """Training examples, which are seen again and again."""
    test_pairs: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Test examples of each length."""
    d_model: Annotated[PositiveInt, Field(le=2**16)] = 256
    """Width of the models, with 4 heads, and feed-forward layers 4 times as wide."""
    layers: Annotated[PositiveInt, Field(le=1000)] = 6
    """Layers of a decoder-only model; an encoder-decoder model has half of them, rounded up, in each stack."""
    steps: Annotated[PositiveInt, Field(lt=10**8)] = 20_000
    """Optimizer steps of each model."""
    tokens_per_step: Count = 8000
    """Tokens of a step, of either side."""
    algorithm: Algorithm = "muon"
    """Optimizer; Muon learns these tasks in far fewer steps than Adam."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    """Peak of the learning rate, which then falls linearly to 0."""
    warmup_steps: Count = 50
    """Steps of linear warm-up."""
    solved: Percent = 90
    """Exact match, in percent, from which on a length counts as solved. A task is learned where the mean over the test
    lengths up to `train_length` is solved, and generalizes where the longest test length is, too."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where the models are trained; on a GPU the same seed need not give the same bytes."""


@dataclass(frozen=True)
class LengthCell(Cell):
    """A model of the study."""

    task: TaskName
    family: Family
    positions: Kind
    start: Start
    seed: int


class LengthGeneralization(Study[LengthGeneralizationConfig, LengthCell]):
    """Train models on short examples of algorithmic tasks, and test whether they solve longer ones.

    Each model is trained to length 40 and tested by exact match at 10 lengths up to 100: for each task, kind of
    positions, with and without random offsets of these, decoder-only and encoder-decoder. The table has beside what was
    measured what Zhou et al. 2023 (arXiv 2310.16028) predict of decoder-only models: that tasks with a short program in
    RASP-L generalize.
    """

    name = "length-generalization"
    config = LengthGeneralizationConfig
    says = (
        "Zhou et al. 2023 (arXiv 2310.16028) conjecture that a Transformer generalizes to longer inputs where a short "
        "RASP-L program solves the task: column `paper`. Their models are decoder-only, with learned positions, random "
        "starts and many more steps. Kazemnejad et al. 2023 (arXiv 2305.19466) find that decoder-only models reach "
        "further without positions than with any encoding; Kiyono et al. 2021 (arXiv 2109.05644) find that random "
        "starts let absolute positions reach further. Figures are exact match in percent, by length."
    )

    def check(self, config: LengthGeneralizationConfig) -> None:
        """Raise RecipeError, which names the cell, where a recipe cannot be made of the fields."""
        for cell in self.cells(config.model_copy(update={"seeds": 1})):
            check(recipe_of(cell, config), cell.name)

    def cells(self, config: LengthGeneralizationConfig) -> list[LengthCell]:
        """Return a cell for each setting that is not the same as another, and each seed."""
        return [
            LengthCell(f"{task}-{family}-{positions}-{start}-seed{seed}", task, family, positions, start, seed)
            for task in config.tasks
            for family in config.families
            for positions, start in settings(config, family)
            for seed in range(config.seed, config.seed + config.seeds)
        ]

    def run(self, cell: LengthCell, config: LengthGeneralizationConfig, folder: Path) -> JsonObject:
        from nmt.studies.trained import train_and_test  # start-up time

        tested = train_and_test(recipe_of(cell, config), folder / "run")
        return {"exact": {str(length): round(tested[f"length-{length}"].exact, 2) for length in config.test_lengths}}

    def table(self, config: LengthGeneralizationConfig, results: Results) -> Rows:
        """Return a row for each setting, with means over its seeds."""
        return [
            {
                "task": task,
                "family": family,
                "positions": positions,
                "start": start,
                **{str(length): f"{value:.0f}" for length, value in exact.items()},
                "paper": "generalizes" if TASKS[task].generalizes else "does not",
                "measured": verdict(exact, config),
            }
            for (task, family, positions, start), exact in self.means(config, results)
        ]

    def means(
        self, config: LengthGeneralizationConfig, results: Results
    ) -> Iterator[tuple[tuple[TaskName, str, str, str], dict[int, float]]]:
        """Yield each setting with the exact match by length, the mean over those seeds that are finished."""
        groups: dict[tuple[TaskName, str, str, str], list[JsonObject]] = {}
        for cell in self.cells(config):
            if cell.name in results:
                groups.setdefault((cell.task, cell.family, cell.positions, cell.start), []).append(results[cell.name])
        for setting, found in groups.items():
            yield setting, {n: fmean(each["exact"][str(n)] for each in found) for n in config.test_lengths}

    def plot(self, config: LengthGeneralizationConfig, results: Results) -> dict[str, Figure]:
        """Draw a panel for each task and family, with a line for each kind of positions."""
        from matplotlib.figure import Figure  # start-up time

        from nmt.experiments.curves import COLORS, DASHES, MARKERS  # it loads Matplotlib

        means = list(self.means(config, results))
        tasks, families = ([*dict.fromkeys(setting[place] for setting, _ in means)] for place in (0, 1))
        labels = [*dict.fromkeys(setting[2:] for setting, _ in means)]
        figure = Figure(figsize=(WIDTH * len(families), 2 * len(tasks) + 1), layout="constrained")
        grid = figure.subplots(len(tasks), len(families), squeeze=False, sharex=True, sharey=True)
        for setting, exact in means:
            (task, family), label = setting[:2], setting[2:]
            axes, look = grid[tasks.index(task)][families.index(family)], labels.index(label) % len(COLORS)
            style = {"color": COLORS[look], "linestyle": DASHES[look], "marker": MARKERS[look]}
            axes.plot(list(exact), list(exact.values()), label=", ".join(label), markersize=4, **style)
            axes.set_title(f"{task}, {family}", loc="left", fontsize=9)
        for axes in grid.flat:
            axes.axvline(config.train_length, color="#999999", ls=":", lw=1)
            axes.set_ylim(-5, 105)
        figure.supxlabel("length; the dotted line is the longest in training", fontsize=9)
        figure.supylabel("exact match, %", fontsize=9)
        handles = {str(line.get_label()): line for axes in grid.flat for line in axes.lines[:-1]}
        figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=3, fontsize=8)
        return {"exact-match": figure}


def settings(config: LengthGeneralizationConfig, family: Family) -> Iterator[tuple[Kind, Start]]:
    """Yield the kinds of positions that `family` has, with the starts that differ."""
    for positions in config.positions:
        if positions in ("sinusoidal", "learned"):
            yield from ((positions, start) for start in config.starts)
        elif positions == "rotary" or family == "decoder-only":
            yield positions, "zero"


def verdict(exact: Mapping[int, float], config: LengthGeneralizationConfig) -> str:
    """Say what was measured of a task, given the exact match by length."""
    within = [value for length, value in exact.items() if length <= config.train_length]
    if within and fmean(within) < config.solved:
        return "not learned"
    return "generalizes" if exact[max(exact)] >= config.solved else "does not"


def recipe_of(cell: LengthCell, config: LengthGeneralizationConfig) -> JsonObject:
    """Return the recipe of the run that trains and tests `cell`."""
    longest = max(config.test_lengths)
    symbols = None
    if cell.task in DISTINCT:
        symbols = max(MANY, max(longest, config.train_length) + DISTINCT[cell.task])

    def corpus(least: int, most: int, pairs: int) -> JsonObject:
        lengths = {"min_length": least, "max_length": most, "symbols": symbols}
        return {"task": cell.task, "pairs": pairs, "seed": config.seed, **lengths}

    pieces = pieces_of(cell.task, longest, symbols)
    # The positions of a test: of both sides in one sequence, or of the longer side.
    room = max(16, sum(pieces) if cell.family == "decoder-only" else max(pieces))
    tests = {f"length-{n}": corpus(n, n, config.test_pairs) for n in config.test_lengths}
    return {
        "name": cell.name,
        "languages": {"source": "x", "target": "y"},
        "data": {
            "train": corpus(1, config.train_length, config.pairs),
            "dev": corpus(1, config.train_length, DEV_PAIRS),
            "test": tests,
        },
        "cleaning": {"max_pieces": None},
        "tokenizer": {
            "model_type": "word",
            "vocab_size": VOCABULARY + (symbols or 0),
            "hard_vocab_limit": False,
            "byte_fallback": False,
        },
        "model": model_of(cell, config, room),
        # A step is not cut by the memory that happens to be free, which would change last bits.
        "batching": {"tokens_per_step": config.tokens_per_step, "micro_batch_tokens": None},
        "optimizer": {
            "algorithm": config.algorithm,
            "learning_rate": config.learning_rate,
            "warmup_steps": config.warmup_steps,
            "schedule": "linear",
            "clip_norm": 1.0,
        },
        "training": {
            "seed": cell.seed,
            "max_steps": config.steps,
            "label_smoothing": 0.0,
            "device": config.device,
            "threads": 1,
            "checkpoint_every": max(10, config.steps // 10),
            "keep_checkpoints": 1,
            "average_checkpoints": 1,
            "validate_every": config.steps,
            "best_metric": "loss",
            "log_every": max(1, config.steps // 10),
        },
        # Greedy, with room for the longest target; a line is never cut at a length that is rare in training.
        "decoding": {"beam_size": 1, "length_penalty": 0.0, "max_extra_length": room, "segments": "fill"},
    }


def model_of(cell: LengthCell, config: LengthGeneralizationConfig, room: int) -> JsonObject:
    """Return the section [model] of the recipe of `cell`, whose tests have up to `room` positions."""
    half = -(-config.layers // 2)
    is_one = cell.family == "decoder-only"
    return {
        "architecture": cell.family,
        **({"decoder_layers": config.layers} if is_one else {"encoder_layers": half, "decoder_layers": half}),
        "d_model": config.d_model,
        "heads": HEADS,
        "ffn": 4 * config.d_model,
        "norm": "pre",
        "dropout": 0.0,
        "positions": cell.positions,
        "position_offset": room if cell.start == "random" else 0,
        "max_length": room,
    }


@cache
def pieces_of(task: TaskName, length: int, symbols: int | None) -> tuple[int, int]:
    """Return the most pieces of both sides of examples of a task, EOS or BOS counted."""
    config = TaskConfig(task=task, min_length=length, max_length=length, symbols=symbols)
    lines = zip(*generate(config, "test", SAMPLE), strict=True)
    source, target = (max(line.count(" ") + 2 for line in side) for side in lines)
    return source, target
