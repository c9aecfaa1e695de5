# `make demo` and `make test` set up what they need in .venv, from nothing but Python, make and git.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo
PLUGINS := plugins/genzoo-mlp-gan plugins/genzoo-dcgan plugins/genzoo-vae plugins/genzoo-transformer
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)

# The models that can be used, each as NAME:LABELS, the labels being an option or nothing.
MODELS  := $(BIN)/genzoo list --json | $(BIN)/python -c "import json, sys; \
  print(*(m['name'] + (':--labels=0-9' if m['classes'] == 10 else ':') \
          for m in json.load(sys.stdin) if m['available']))"

# What benchmarks stand beside: in an environment on top of ours, for they bring modules that are in
# the way of ours, `tests` and `dataclasses`.
PEERS   := build/peers
BENCH   ?=

# For what needs a dataset: its folder, where it is not that of GENZOO_DATA or the user's cache.
DATA    ?=
WORTH   ?= build/evaluations
FOLDER  := $(if $(DATA),--data $(DATA))

.PHONY: help demo test lint format docs pictures evaluations extractors bench clean

help:
	@echo "make demo    set up, list the zoo, draw one grid of images per model into $(OUT)/"
	@echo "make test    set up and run the tests"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make format  let ruff format and sort"
	@echo "make docs    write the parts of the documents that come from code and zoo configs"
	@echo "make pictures  draw the pictures and charts that are stale, from weights and zoo configs"
	@echo "make evaluations [DATA=FOLDER]  measure all models, write their cards, then docs and pictures"
	@echo "make extractors [DATA=FOLDER]   train the classifiers that evaluation looks through"
	@echo "make bench [DATA=FOLDER] [BENCH=OPTIONS]  measure beside peers, into build/bench.json"
	@echo "make clean   remove $(VENV), $(PEERS), $(OUT)/ and caches"

$(VENV)/.users: $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . $(PLUGINS:%=-e ./%)
	@touch $@

$(VENV)/.developers: $(VENV)/.users
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(PEERS)/.ready: $(VENV)/.users
	$(BIN)/python -m venv $(PEERS)
	$(BIN)/python -c "import sysconfig; \
	  ours = sysconfig.get_path('purelib'); \
	  theirs = sysconfig.get_path('purelib', vars={'base': '$(abspath $(PEERS))'}); \
	  open(theirs + '/ours.pth', 'w').write(f'import site; site.addsitedir({ours!r})\n')"
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

demo: $(VENV)/.users
	@$(BIN)/genzoo list
	@mkdir -p $(OUT)
	@models=$$($(MODELS)) || exit; for model in $$models; do name=$${model%%:*}; \
	  $(BIN)/genzoo sample $$name -n 100 --seed 0 $${model#*:} -o $(OUT)/$$name.png || exit; done
	@echo "Look at the pictures in $(OUT)/."

# Two processes of one thread each: a test is too small a thing to share between threads. Bytecode is
# written whatever else this machine is told, for tests start many a process.
test: $(VENV)/.developers
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.developers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy examples/*/src
	$(BIN)/lint-imports

format: $(VENV)/.developers
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.users
	$(BIN)/python docs/generate.py

pictures: $(VENV)/.developers
	$(BIN)/python docs/generate.py --pictures

evaluations: $(VENV)/.developers
	models=$$($(MODELS)) || exit; for model in $$models; do \
	  $(BIN)/genzoo evaluate $${model%%:*} --write-card \
	    --output $(WORTH) $(FOLDER) || exit; done
	cp $(WORTH)/dcgan-mnist.png docs/images/dcgan-mnist-evaluation.png
	$(BIN)/genzoo complete pixel-transformer-mnist -n 100 --seed 0 --set objective.config.guidance=0 \
	  -o docs/images/pixel-transformer-mnist-completion.png $(FOLDER)
	$(MAKE) docs pictures

extractors: $(VENV)/.users
	for name in mnist fashion-mnist digits; do \
	  $(BIN)/python -m genzoo.evaluation.train_extractor $$name $(FOLDER) || exit; done

bench: $(PEERS)/.ready
	$(PEERS)/bin/python benchmarks/all.py --output build/bench.json $(FOLDER) $(BENCH)

clean:
	rm -rf $(VENV) $(PEERS) $(OUT) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
