# All set-up is done by the targets themselves, into .venv; Python 3.11 or newer is all they need.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-all check format golden mutants picture bench bench-peers clean

demo: $(READY)  ## The whole chain on the built-in corpus, in minutes.
	$(BIN)/nmt run recipes/demo.toml

test: $(READY)  ## The tests, without those marked slow.
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-all: $(READY)  ## All tests.
	$(BIN)/python -m pytest -n 2 --dist loadscope -m ""

check: $(READY)  ## Format, lint, types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy nmt tests benchmarks tools

format: $(READY)  ## Format and mend what can be mended by itself.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(READY)  ## Rewrite the golden files of the tests; look at the difference before you commit it.
	NMT_GOLDEN=rewrite $(BIN)/python -m pytest tests/golden tests/e2e -k "golden or help"

mutants: $(READY)  ## How many changes of the code its unit tests notice; takes about half an hour.
	$(BIN)/python -m pip install --quiet --editable ".[mutants]"
	$(BIN)/python tools/mutants.py

picture: $(READY)  ## Draw docs/imports.svg anew.
	$(BIN)/python tools/draw_imports.py

bench: $(READY)  ## Speed of training beside plain torch loops and the toolkits of bench-peers, in one run.
	$(BIN)/python benchmarks/training.py

bench-peers:  ## The other toolkits, each in an environment of its own under .peers/.
	PYTHON=$(PYTHON) benchmarks/setup_peers.sh

clean:  ## Remove all that the targets made; runs/ is kept.
	rm -rf .venv .peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nmt needs Python 3.11 or newer; name one with: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@
