# The targets install what they need into .venv; they only need Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-all check format golden audit mutants picture docs dist bench bench-peers clean

demo: $(READY)  ## All stages on the built-in corpus, in minutes.
	$(BIN)/nmt run recipes/demo.toml

test: $(READY)  ## The tests, without those marked slow.
	$(BIN)/python -m pytest -n 3 --dist loadscope

test-all: $(READY)  ## All tests.
	$(BIN)/python -m pytest -n 2 --dist loadscope -m ""

check: $(READY)  ## Check format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy nmt tests benchmarks tools

format: $(READY)  ## Format, and fix what the linter can fix.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(READY)  ## Rewrite the golden files of the tests; check the difference before you commit it.
	NMT_GOLDEN=rewrite $(BIN)/python -m pytest tests/golden tests/e2e -k "golden or help"

audit: $(READY)  ## Look up the pinned packages among the known vulnerabilities; needs the network.
	$(BIN)/python -m pip install --quiet --editable ".[audit]"
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

mutants: $(READY)  ## Count the random changes of the code that its unit tests detect; takes about half an hour.
	$(BIN)/python -m pip install --quiet --editable ".[mutants]"
	$(BIN)/python tools/mutants.py

picture: $(READY)  ## Redraw docs/imports.svg.
	$(BIN)/python tools/draw_imports.py

docs: $(READY)  ## Build the documentation as a site in build/docs/site.
	$(BIN)/python tools/docs_site.py build/docs

dist: $(READY)  ## Build the sdist and the wheel in dist/.
	$(BIN)/python -m hatchling build

bench: $(READY)  ## Measure the training speed beside plain torch loops and the toolkits of bench-peers.
	$(BIN)/python benchmarks/training.py

bench-peers:  ## Install the other toolkits, each in its own environment under .peers/.
	PYTHON=$(PYTHON) benchmarks/setup_peers.sh

clean:  ## Remove everything that the targets created, except runs/.
	rm -rf .venv .peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nmt needs Python 3.11 or newer; name one with: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@
