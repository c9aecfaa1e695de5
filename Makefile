# `make demo` and `make test` set up what they need in .venv, from nothing but Python, make and git.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo
PLUGINS := plugins/genzoo-mlp-gan plugins/genzoo-dcgan plugins/genzoo-vae plugins/genzoo-transformer
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)

.PHONY: help demo test lint format docs pictures bench clean

help:
	@echo "make demo    set up, list the zoo, draw one grid of images per model into $(OUT)/"
	@echo "make test    set up and run the tests"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make format  let ruff format and sort"
	@echo "make docs    write the parts of the documents that come from code and zoo configs"
	@echo "make pictures  draw the README's pictures from the weights that ship"
	@echo "make bench   measure, side by side"
	@echo "make clean   remove $(VENV), $(OUT)/ and caches"

$(VENV)/.users: $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . $(PLUGINS:%=-e ./%)
	@touch $@

$(VENV)/.developers: $(VENV)/.users
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.developers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

demo: $(VENV)/.users
	@$(BIN)/genzoo list
	@mkdir -p $(OUT)
	@names=$$($(BIN)/genzoo list --json | $(BIN)/python -c \
	  "import json, sys; print(*(m['name'] for m in json.load(sys.stdin) if m['available']))") || exit; \
	for name in $$names; do \
	  $(BIN)/genzoo sample $$name -n 100 --seed 0 --labels 0-9 -o $(OUT)/$$name.png || exit; done
	@echo "Look at the pictures in $(OUT)/."

test: $(VENV)/.developers
	$(BIN)/python -m pytest

lint: $(VENV)/.developers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developers
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.users
	$(BIN)/python docs/generate.py

pictures: $(VENV)/.users
	for name in mlp-gan-mnist dcgan-mnist vae-mnist transformer-gan-mnist; do \
	  $(BIN)/genzoo sample $$name -n 60 --seed 0 --labels 0-9 -o docs/images/$$name.png || exit; done

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/listing.py
	$(BIN)/python benchmarks/training.py

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
