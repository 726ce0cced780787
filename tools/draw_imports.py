"""Draw the packages of nmt and their imports as `docs/imports.svg`: python tools/draw_imports.py.

A box is a package, or the modules at the top of the package together, with its modules listed. An arrow points from
the importer to the imported. An arrow that follows from others is left out: where A imports B and B imports C, no arrow
shows that A imports C as well. Imports for type checkers alone do not count.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "imports.svg"
GROUND = "ground"
"""The modules at the top of the package, but for the program itself."""
PROGRAM = {"cli", "__main__"}
WINGS = {"data"}
"""Packages whose subpackages have boxes of their own."""

WIDTH, GAP, LINE, MARGIN = 250, 36, 15, 24
"""Width of a box, space between boxes, height of a line of text, and margin of the picture, in pixels."""
STYLE = (
    "text{font:12px sans-serif;fill:#222}.name{font-weight:bold;font-size:14px}"
    "rect{fill:#f4f7fb;stroke:#4a6fa5;rx:6}path{fill:none;stroke:#8a97a8}svg{background:#fff}"
)

Graph = dict[str, set[str]]


def package_of(module: str) -> str:
    """Return the box of a module, given by its dotted name without `nmt.`: `data.reading` for `data.reading.tmx`."""
    parts = module.split(".")
    if len(parts) == 1:
        return "cli" if module in PROGRAM else GROUND
    return ".".join(parts[:2]) if parts[0] in WINGS and len(parts) > 2 else parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of nmt, or names in them, that `tree` imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "nmt":
            yield from (f"{node.module}.{alias.name}".removeprefix("nmt.") for alias in node.names)
        yield from imported(node)


def read_package(folder: Path) -> tuple[dict[str, list[str]], Graph]:
    """Return the modules of each package under `folder`, and the packages that each package imports."""
    sources = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__init__.py"
    }
    modules: dict[str, list[str]] = {}
    graph: Graph = {}
    for module, source in sources.items():
        package = package_of(module)
        modules.setdefault(package, []).append(module.rpartition(".")[2])
        targets = graph.setdefault(package, set())
        for name in imported(ast.parse(source)):
            target = name if name in sources else name.rpartition(".")[0]
            if target in sources and package_of(target) != package:
                targets.add(package_of(target))
    return modules, graph


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Return what can be reached from `start` along the arrows, itself not counted."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += graph[name]
    return found


def reduced(graph: Graph) -> Graph:
    """Return the graph without the arrows that follow from others. Raises ValueError where it has a circle."""
    below = {name: reachable(graph, name) for name in graph}
    if circle := sorted(name for name, names in below.items() if name in names):
        raise ValueError(f"packages import each other in a circle: {', '.join(circle)}")
    return {name: {t for t in targets if not any(t in below[o] for o in targets)} for name, targets in graph.items()}


def levels(graph: Graph) -> list[list[str]]:
    """Sort the packages into rows from the top down: each package stands above all that it imports."""
    height: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((measure(target) for target in graph[name]), default=0)
        return height[name]

    for name in graph:
        measure(name)
    return [sorted(n for n in graph if height[n] == level) for level in range(max(height.values()), 0, -1)]


def draw(modules: Mapping[str, list[str]], graph: Graph) -> str:
    """Return the picture as SVG."""
    rows = levels(graph)
    total = max(len(row) for row in rows) * (WIDTH + GAP) - GAP + 2 * MARGIN
    texts = {name: textwrap.wrap(", ".join(modules[name]), 32, break_on_hyphens=False) for name in graph}
    boxes: dict[str, tuple[float, float, float]] = {}  # left, top, height
    shapes: list[str] = []
    top = float(MARGIN)
    for row in rows:
        left = (total - len(row) * (WIDTH + GAP) + GAP) / 2
        for name in row:
            boxes[name] = (left, top, LINE * (len(texts[name]) + 2))
            left += WIDTH + GAP
        top += max(boxes[name][2] for name in row) + 1.5 * GAP
    for name, targets in graph.items():
        for target in sorted(targets):
            (x, y, height), (u, v, _) = boxes[name], boxes[target]
            x, y, u = x + WIDTH / 2, y + height, u + WIDTH / 2
            middle = (y + v) / 2
            shapes.append(
                f'<path marker-end="url(#tip)" d="M{x:g},{y:g} C{x:g},{middle:g} {u:g},{middle:g} {u:g},{v:g}"/>'
            )
    for name, (left, y, height) in boxes.items():
        shapes.append(f'<rect x="{left:g}" y="{y:g}" width="{WIDTH}" height="{height:g}"/>')
        for number, line in enumerate([name, *texts[name]]):
            kind = ' class="name"' if number == 0 else ""
            shapes.append(f'<text x="{left + 8:g}" y="{y + LINE * (number + 1.2):g}"{kind}>{escape(line)}</text>')
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    tip += '<path d="M0,0 L7,4 L0,8"/></marker>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:g} {top:g}" width="{total:g}">'
    return "\n".join([head, f"<style>{STYLE}</style><defs>{tip}</defs>", *shapes, "</svg>\n"])


def picture(folder: Path) -> str:
    """Return the picture of the package in `folder`."""
    modules, graph = read_package(folder)
    return draw(modules, reduced(graph))


if __name__ == "__main__":
    PICTURE.write_text(picture(ROOT / "nmt"), encoding="utf-8", newline="\n")
