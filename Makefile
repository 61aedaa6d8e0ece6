# make demo   choose 100 of 440 transcription factors on the human GO graph
# make test   run every test
# make docs   build the documentation, strictly, into site/
# make notebooks   run the notebooks and keep what they show
# make browser   install Chromium (Debian), in which a test opens the page of select --report; else it is skipped
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# what is imported is compiled when it is first imported, which is far less than what is installed
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check \
  --constraint constraints.txt --editable
export PIP_NO_INPUT := 1

.PHONY: demo test docs notebooks browser lint bench clean

demo: $(VENV)/base.done
	$(BIN)/perturb-jax select --candidates-go GO:0003700 --budget 100 --out demo --force

test: $(VENV)/dev.done
	$(BIN)/python -m pytest -n auto

docs: $(VENV)/dev.done
	$(BIN)/python -m mkdocs build --strict --quiet

notebooks: $(VENV)/dev.done
	$(BIN)/python notebooks/execute.py

browser:
	command -v chromium-headless-shell || (apt-get -qq update && apt-get -qq install -y chromium-headless-shell fonts-dejavu-core)

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/bench.done
	$(BIN)/python experiments/benchmarks/run_all.py

clean:
	rm -rf $(VENV) demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base.done: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	touch $@

$(VENV)/dev.done: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[dev,gears,cluster,docs,notebooks]'
	$(BIN)/python -c 'import dcor'  # compiles when first imported: alone, since inside of a test it has aborted
	touch $@ $(VENV)/base.done

$(VENV)/bench.done: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[bench,gears]'
	touch $@ $(VENV)/base.done
