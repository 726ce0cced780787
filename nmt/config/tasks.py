"""The keys of a corpus that is generated from an algorithmic task; `nmt/tasks/algorithms` generates it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nmt.config.section import Effect, Section

TaskName = Literal[
    "copy",
    "copy-unique",
    "reverse",
    "sort",
    "count",
    "addition",
    "addition-reversed",
    "addition-hinted",
    "addition-hinted-reversed",
    "parity",
    "parity-scratchpad",
    "mode",
]
Length = Annotated[int, Field(ge=1, le=10_000)]
FIXED: tuple[TaskName, ...] = ("addition", "addition-reversed", "parity")
"""The tasks whose symbols are the digits or bits alone."""
DISTINCT: dict[TaskName, int] = {
    "copy-unique": 0,
    "sort": 0,
    "count": 0,
    "addition-hinted": 1,
    "addition-hinted-reversed": 1,
    "parity-scratchpad": 0,
}
"""The tasks that take as many different symbols as an example is long, and this many more."""
FEW, MANY = 10, 128  # symbols where none are given: of tasks that repeat them, and of those in `DISTINCT`


class TaskConfig(Section):
    """An algorithmic task and its parameters; a length is that of the task's file in `nmt/tasks/algorithms`."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"text"})
    task: TaskName | None = None
    """Algorithmic task whose examples are generated: source and target are symbols with spaces between them; those
    of train, dev and test are drawn apart (Zhou et al. 2023, arXiv 2310.16028)."""
    min_length: Length = 1
    """Shortest length of an example of `task`; all lengths up to `max_length` are equally likely."""
    max_length: Length = 40
    """Longest length of an example of `task`: of a list its symbols, of an addition the digits of each number."""
    symbols: Annotated[int, Field(ge=2, le=20_000)] | None = None
    """Number of different symbols of `task`, or of its index hints; by default 10, or 128 where no symbol occurs twice
    in an example. Not for `addition`, `addition-reversed` and `parity`, whose symbols are digits and bits alone."""

    @model_validator(mode="after")
    def parameters_are_possible(self) -> Self:
        if self.task is None:
            return self
        given = f'task = "{self.task}"'
        if self.min_length > self.max_length:
            raise ValueError(f"min_length = {self.min_length} is more than max_length = {self.max_length}")
        if self.symbols is not None and self.task in FIXED:
            raise ValueError(f"symbols = {self.symbols}: {given} has symbols of its own: leave it out")
        needed = self.max_length + DISTINCT.get(self.task, -self.max_length)
        if self.symbol_count < needed:
            problem = f"{given} with max_length = {self.max_length} needs {needed} different symbols"
            origin = " by default" if self.symbols is None else ""
            raise ValueError(f"symbols = {self.symbol_count}{origin}: {problem}")
        return self

    @property
    def symbol_count(self) -> int:
        """The number of different symbols, given or by default."""
        return self.symbols or (MANY if self.task in DISTINCT else FEW)
