"""Stand-ins for packages that are not installed, so that modules of nmt can be imported on a bare machine."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import ClassVar

NEEDED = {"numpy", "pydantic", "torch"}
"""The packages without which nothing is checked."""
PACKAGES = (
    *("datasets", "huggingface_hub", "langcodes", "language_data", "matplotlib", "pyarrow", "regex", "rich"),
    *("sacrebleu", "safetensors", "sentencepiece", "typer"),
)
"""The packages that nmt depends on besides, whose absence is no hindrance until they are used."""


class MissingPackageError(Exception):
    """A package that is used and not installed."""


class StandIn(type):
    """A class for any name of a missing package: it can be imported, caught and subscripted, but not used."""

    package: str

    def __call__(cls, *_: object, **__: object) -> object:
        if _Finder.is_importing:  # a module may compile patterns or make constants when it is imported
            return stand_in(cls.package)
        raise MissingPackageError(f"needs {cls.package}, which is not installed")

    def __getattr__(cls, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(cls.package)

    def __getitem__(cls, _: object) -> object:
        return cls

    def __or__(cls, _: object) -> StandIn:
        return cls

    def __ror__(cls, _: object) -> StandIn:
        return cls


def stand_in(package: str) -> StandIn:
    """Return a class that stands for some name of `package`; an exception, for names are also caught."""
    made = StandIn("Missing", (Exception,), {})
    made.package = package
    return made


class _Module(ModuleType):
    """A missing module."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(self.__name__.partition(".")[0])


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of missing packages, before other finders are asked."""

    is_importing = False
    all: ClassVar[list[_Finder]] = []

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        package = fullname.partition(".")[0]
        return importlib.util.spec_from_loader(fullname, self, is_package=True) if package in self.packages else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def missing(packages: Sequence[str]) -> list[str]:
    """Return those of `packages` that are not installed."""
    found = [package for package in packages if any(package in each.packages for each in _Finder.all)]
    for package in set(packages) - set(found):
        try:
            is_there = importlib.util.find_spec(package) is not None
        except ValueError:  # it is in sys.modules, and None or without a specification
            is_there = sys.modules[package] is not None
        if not is_there:
            found.append(package)
    return sorted(found)


@contextmanager
def stand_ins(packages: Sequence[str]) -> Iterator[None]:
    """Import modules in a block; names of `packages` that are not installed fail when they are used."""
    absent = set(missing(packages))
    for package in absent:
        sys.modules.pop(package, None)
    finder = _Finder(absent)
    sys.meta_path.insert(0, finder)
    _Finder.all.append(finder)
    _Finder.is_importing = True
    try:
        yield
    finally:
        _Finder.is_importing = False
