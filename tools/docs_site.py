"""Build the documentation as a site, by Zensical: `make docs`. A link to nowhere is an error.

The pages are copied to where they lie in the repository, so that a link holds here as there.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OTHERS = (
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "benchmarks/README.md",
    "recipes/README.md",
)
"""The pages that lie outside of docs/, and files that they link to."""


def pages() -> list[str]:
    """Return the names of the pages and their pictures."""
    return [*OTHERS, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").iterdir()))]


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site in `folder`/site, anew; return how the command ended, and what it said."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in pages():
        copy = folder / "pages" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for pages/ and site/; its content is removed")
    folder = parser.parse_args().folder
    done = build(folder)
    sys.exit(done.stdout + done.stderr if done.returncode else print(f"open {folder / 'site' / 'index.html'}"))


if __name__ == "__main__":
    main()
