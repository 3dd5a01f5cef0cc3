# Everything runs in .venv, which the targets fill on first use and again only when constraints.txt or pyproject.toml change.
# A fresh machine needs python3 (3.11 or later), make and git; once the packages are installed, all of it works offline.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# What is never imported need not be compiled: half of the time of an installation.
PIP := $(PY) -m pip --disable-pip-version-check -qq
PINS := constraints.txt pyproject.toml

EXTRAS_book := book
EXTRAS_test := book,test,torch,peers
EXTRAS_bench := bench,torch

# Caches live in _build, so that a build leaves nothing else behind.
export PYTHONPYCACHEPREFIX := $(CURDIR)/_build/.pycache
export NUMBA_CACHE_DIR := $(CURDIR)/_build/.numba
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/_build/.hypothesis
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# A progress bar in a published cell would be noise.
export TRAJLIB_PROGRESS := off

# What a chapter's output depends on beside its own text: jupyter-cache looks at the code cells alone. (The compiled kernels
# need no such care: the text of the engine is part of their key.)
# The records of runs with another seed are not among it; those of the variations are, since the ledger shows them.
INPUTS := trajlib $(filter-out data/reseed.json,$(sort $(wildcard data/*))) constraints.txt
FORGET_PAGES := $(PY) tools/fingerprint.py --stamp _build/.inputs \
	--clear _build/.jupyter_cache _build/.doctrees _build/html _build/jupyter_execute -- $(INPUTS) $(filter-out book/intro.ipynb,$(wildcard book/*.ipynb))

.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help book pdf notebooks reseed robustness findings test lint bench mnist clean

help:  ## say what the targets do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

book: $(VENV)/.installed-book  ## build the book, executing what changed; OUTPUTS=committed takes those of book/*.ipynb instead
	@$(FORGET_PAGES)
	@$(PY) tools/build_book.py $(if $(filter committed,$(OUTPUTS)),--committed)

pdf: $(VENV)/.installed-test book  ## the whole book as one PDF, _build/trajlib.pdf (needs Chromium)
	$(PY) tools/make_pdf.py _build/html _build/trajlib.pdf

notebooks: $(VENV)/.installed-book  ## execute the chapters that changed into book/*.ipynb
	$(PY) tools/execute_notebooks.py $(INPUTS)

reseed: $(VENV)/.installed-book  ## run the chapters that changed with another seed, and record their verdicts in data/reseed.json
	$(PY) tools/reseed.py

robustness: $(VENV)/.installed-book  ## run the chapters under the variations of data/variations.yml, into data/robustness (stop it at any time)
	$(PY) tools/robustness.py $(CHAPTER)

findings: $(VENV)/.installed-book  ## make the longer runs behind the chapters, in data/findings (stop it at any time, it goes on from there)
	@set -e; for script in tools/findings/*.py; do echo "$(PY) $$script"; $(PY) "$$script"; done

test: $(VENV)/.installed-test  ## run the tests, on all cores; ARGS='-k name -x' goes to pytest ('-n 0' for one process)
	$(PY) -m pytest -n logical --maxprocesses=8 $(ARGS)

lint: $(VENV)/.installed-test  ## check format, style and types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy trajlib

bench: $(VENV)/.installed-bench  ## run benchmarks/*.py, which write data/benchmarks/*.json
	@mkdir -p data/benchmarks
	@set -e; for script in $$(grep -l __main__ benchmarks/*.py); do echo "$(PY) $$script"; $(PY) "$$script"; done

mnist: $(VENV)/.installed-test  ## run the MNIST sweeps into data/mnist (stop it at any time, it goes on from there); DEVICE=cuda
	$(PY) tools/mnist_sweep.py subset
	$(PY) tools/mnist_sweep.py transition
	$(PY) tools/mnist_sweep.py paper $(if $(DEVICE),--device $(DEVICE))

clean:  ## remove everything that was built; .venv stays
	rm -rf _build
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "trajlib needs Python 3.11 or later, and $(PYTHON) is not; try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON) could not make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }

# The build backend goes into .venv too, so that installing again needs no network either.
$(VENV)/.installed-%: $(PINS) | $(PY)
	@echo "installing trajlib[$(EXTRAS_$*)] into $(VENV) ..."
	@$(PIP) install --no-compile -c constraints.txt hatchling editables
	@$(PIP) install --no-compile -c constraints.txt --no-build-isolation -e '.[$(EXTRAS_$*)]'
	@touch $@ $(if $(filter test,$*),$(VENV)/.installed-book)
