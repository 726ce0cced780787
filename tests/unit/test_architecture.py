"""Imports point down, one module prints, and the command line starts fast."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmt

PACKAGE = Path(nmt.__file__).parent
RANKS = [
    {"cores", "errors", "startup", "strict_json", "terminal", "version"},
    {"files", "console", "processes", "runtime", "run_folder"},
    {"cards", "devices", "locks"},
    {"config"},
    {"tasks"},
    {"data"},
    {"data.reading"},
    {"data.cleaning"},
    {"alignment"},
    {"data.augmenting"},
    {"data.encoding", "evaluation"},
    {"model"},
    {"inference"},
    {"documents"},
    {"exporting", "training"},
    {"importing"},
    {"pipeline"},
    {"advice", "experiments", "server"},
    {"studies"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""Modules and packages, each importing from lower ranks or its own package alone."""
LATE_IMPORTS = 48
"""The most imports inside functions: those that start-up time or an optional extra demands."""
LONGEST_FUNCTION = 60
"""The most lines of a function."""
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
modules = pytest.mark.parametrize("module", MODULES)


def top(module: str) -> str:
    """Return what has a rank and holds `module`: a wing of `data`, or what is at the top."""
    wing = ".".join(module.split(".")[:2])
    return wing if wing in RANK else module.partition(".")[0]


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over `tree` without what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        yield node
        yield from statements(node)


def imports(source: str) -> list[str]:
    """Return what `source` imports anywhere, as full dotted names: modules, or names in modules."""
    found = []
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def own_imports(source: str) -> list[str]:
    """Return what `source` imports of nmt, without the prefix."""
    return [name.removeprefix("nmt.") for name in imports(source) if name.startswith("nmt.")]


def upward(module: str, source: str) -> list[str]:
    """Return the imports of `module` that do not point down."""
    return [
        name
        for name in own_imports(source)
        if top(name) != top(module) and (top(name) not in RANK or RANK[top(name)] >= RANK[top(module)])
    ]


def known(name: str) -> str:
    """Return the module of nmt that an import of `name` loads, or the empty string."""
    return name if name in MODULES else name.rpartition(".")[0] if name.rpartition(".")[0] in MODULES else ""


def printing(source: str) -> list[str]:
    """Return the expressions and imports of `source` by which it could write to a terminal."""
    tree = ast.parse(source)
    found = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr", "__stdout__", "__stderr__"})
        or (isinstance(node, ast.Attribute) and node.attr in {"echo", "secho"})
    ]
    talkers = ("rich", "logging", "warnings", "sys.stdout", "sys.stderr", "click", "typer.echo", "typer.secho")
    return found + [name for name in imports(source) if f"{name}.".startswith(tuple(f"{t}." for t in talkers))]


@modules
def test_a_module_has_a_rank(module: str) -> None:
    assert top(module) in RANK, "give it a place in RANKS and in docs/architecture.md"


@modules
def test_imports_point_down(module: str) -> None:
    assert upward(module, MODULES[module]) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    waiting = {module: {known(name) for name in own_imports(source)} - {""} for module, source in MODULES.items()}
    while ready := {module for module, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {module: needs for module, needs in waiting.items() if module not in ready}
    assert not waiting, f"these import each other in a circle, or what does: {sorted(waiting)}"


@modules
def test_only_training_and_what_ranks_above_it_see_a_whole_recipe(module: str) -> None:
    seen = [name for name in own_imports(MODULES[module]) if name.startswith(("config.recipe", "config.toml"))]
    assert RANK[top(module)] >= RANK["training"] or top(module) == "config" or not seen


@modules
def test_evaluation_knows_lines_their_other_ways_of_writing_trees_languages_errors_and_the_version_alone(
    module: str,
) -> None:
    if top(module) == "evaluation":
        found = {known(name) if top(name) == "data" else top(name) for name in own_imports(MODULES[module])}
        assert found <= {
            "data.augmenting",
            "data.languages",
            "data.pairs",
            "data.placeholders",
            "errors",
            "evaluation",
            "tasks",
            "version",
        }
        assert not [name for name in imports(MODULES[module]) if top(name) == "torch"]


@modules
def test_only_the_console_writes_to_the_terminal(module: str) -> None:
    found = printing(MODULES[module])
    if module == "commands.options":  # translations are bytes, the same on every machine
        found = [expression for expression in found if expression != "console.stdout"]
    assert module in {"console", "terminal"} or found == []


def test_code_in_strings_of_the_benchmarks_imports_modules_that_exist() -> None:
    sources = (PACKAGE.parent / "benchmarks").rglob("*.py")
    found = {name for path in sources for name in re.findall(r"from nmt\.([\w.]+) import", path.read_text("utf-8"))}
    packages = {module.rpartition(".")[0] for module in MODULES}
    assert found
    assert found <= MODULES.keys() | packages


@modules
def test_a_module_says_what_it_is_for(module: str) -> None:
    if module != "__main__":
        assert ast.get_docstring(ast.parse(MODULES[module]))


def functions(source: str) -> list[ast.FunctionDef]:
    """Return the functions and methods of `source`, those within others among them."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def late_imports(source: str) -> list[int]:
    """Return the lines of `source` with an import inside a function."""
    nodes = (node for function in functions(source) for node in ast.walk(function))
    return sorted({node.lineno for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)})


def unexplained(source: str) -> list[str]:
    """Return the imports inside functions of `source` without a comment on their line or on the one above."""
    lines = source.split("\n")
    return [
        lines[number - 1].strip()
        for number in late_imports(source)
        if "  # " not in lines[number - 1] and not lines[number - 2].strip().startswith("# ")
    ]


def long_functions(source: str) -> list[str]:
    """Return the functions of `source` of more lines than a function may have."""
    return [node.name for node in functions(source) if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION]


def test_few_imports_stand_inside_functions() -> None:
    found = {module: lines for module, source in MODULES.items() if (lines := late_imports(source))}
    assert sum(map(len, found.values())) <= LATE_IMPORTS, found


@modules
def test_an_import_inside_a_function_says_why(module: str) -> None:
    assert unexplained(MODULES[module]) == []


@modules
def test_no_function_is_long(module: str) -> None:
    assert long_functions(MODULES[module]) == []


def test_imports_inside_functions_and_long_functions_are_found() -> None:
    source = "import a\ndef f():\n    import b\n    def g():\n        import c  # slow\n    # why\n    from d import e"
    assert (late_imports(source), unexplained(source)) == ([3, 5, 7], ["import b"])
    body = "\n    x = 1" * 59
    assert long_functions(f"def f():{body}") == []
    assert long_functions(f"def f():{body}\n    return x") == ["f"]


def undocumented(source: str) -> list[str]:
    """Return the public functions and methods of `source` that have more than three statements and no docstring.

    PyTorch's own names are documented there.
    """
    return [
        node.name
        for part in ast.walk(ast.parse(source))
        if isinstance(part, ast.Module | ast.ClassDef)
        for node in part.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if node.name not in {"forward", "backward"}
        if len(node.body) > 3 and ast.get_docstring(node) is None
    ]


@modules
def test_a_function_of_several_statements_has_a_docstring(module: str) -> None:
    # The names of validators and of the grammar's productions are their rules; those of models their protocol's.
    assert top(module) in {"config", "tasks", "model"} or undocumented(MODULES[module]) == []


def test_a_missing_docstring_is_found() -> None:
    body = "\n    x = 1" * 4
    assert undocumented(f"def f():{body}\ndef _g():{body}\ndef h():\n    return 1") == ["f"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("inference.search", "from nmt.training.loop import train"),
        ("inference.search", "def f():\n    from nmt.training import loop"),
        ("inference.search", "import nmt.training.loop"),
        ("inference.search", "from nmt import training"),
        ("data.reading.corpus", "from nmt.model.encoder_decoder import Transformer"),
        ("data.reading.corpus", "from nmt.data.cleaning.filters import clean"),
        ("files", "from nmt.console import log"),
        ("config.toml", "if True:\n    from nmt import pipeline"),
        ("training.loop", "from nmt.unheard_of import thing"),
    ],
)
def test_an_import_that_points_up_or_aside_is_found(module: str, source: str) -> None:
    assert len(upward(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("training.loop", "from nmt.inference.search import search\nfrom nmt import console, errors"),
        ("training.loop", "from nmt.training.loss import smoothed_loss"),
        ("runtime", "if TYPE_CHECKING:\n    from nmt.training import loop"),
        ("inference.bundle", "import nmt\nimport torch"),
    ],
)
def test_an_import_that_points_down_is_allowed(module: str, source: str) -> None:
    assert upward(module, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "f = print",
        "import sys\nsys.stdout.write('x')",
        "import sys\nprogress = sys.stderr",
        "from sys import stdout",
        "from rich.console import Console",
        "import rich",
        "import logging",
        "import typer\ntyper.echo('x')",
    ],
)
def test_a_second_printer_is_found(source: str) -> None:
    assert printing(source)


def test_the_command_line_is_imported_without_what_is_slow() -> None:
    slow = ["torch", "datasets", "sentencepiece", "pydantic", "numpy", "pyarrow", "sacrebleu", "safetensors"]
    program = f"import sys, nmt.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_top_level_of_the_repository_has_what_it_is_to_have() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a clone")
    files = {".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"}
    files |= {"constraints.txt", "mkdocs.yml", "pyproject.toml"}
    folders = {".ci", "benchmarks", "docs", "findings", "nmt", "recipes", "tests", "tools"}
    assert {name.partition("/")[0] for name in done.stdout.split("\0") if name} == files | folders
