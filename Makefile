# Two commands do everything on a machine with Python 3.11 or newer and make:
#   make demo   installs triplenet and shows the whole way, from phantom scans to a report
#   make test   installs the development tools, lints, checks types, runs the tests
# And one takes hours, stopped and gone on with as one likes (docs/reproduce.md):
#   make reproduce   the paper's ten methods on a synthetic cohort with the numbers of its Table 1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv does not read pip's variable for local wheels.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt

.PHONY: demo reproduce test test-slow conformance test-lowest lint format types unit install install-dev clean

demo: install
	$(BIN)/triplenet demo --out demo

# SIZE=paper for a GPU; KEEP=FOLDER copies tables and figures; ENCODER=FILE first weights; WORKERS=N trainings at once.
SIZE ?= small
reproduce: install
	$(INSTALL) --editable '.[train,umap]'
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/reproduce.py --size $(SIZE) $(if $(KEEP),--keep $(KEEP)) \
		$(if $(ENCODER),--encoder $(ENCODER)) $(if $(WORKERS),--workers $(WORKERS))

test: lint types unit

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install-dev
	$(BIN)/mypy

# One thread each: two workers with two threads each would wait for each other.
unit: install-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --cov --cov-report=term

# Damaged inputs of every kind, for half a minute each.
test-slow: install-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 -m slow

# Programs that others wrote read, judge and store what is written: apt-get install dcmtk dicom3tools pixelmed-apps orthanc
# orthanc-dicomweb chromium. Without one of them its tests skip and say so, and docs/conformance.md, the page of it, stays.
conformance: install-dev
	$(INSTALL) --group conformance
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 -m conformance tests/conformance \
		--conformance-page docs/conformance.md

# The tests with the lowest version of every requirement that pyproject.toml allows, in an environment of their own.
# Torch first: the lowest of two builds of one version would be the one with CUDA.
test-lowest: $(BIN)/uv
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(BIN)/uv pip install --quiet --python $(VENV)-lowest/bin/python --constraints constraints-lowest.txt torch
	$(BIN)/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		--constraints constraints-lowest.txt --editable '.[train,export,openvino,track,ray,umap]' --group dev
	TRIPLENET_LOWEST=1 OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest --numprocesses 2

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/installed: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) --editable '.[train]'
	touch $@

$(VENV)/installed-dev: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) --editable '.[train,export,openvino,track,ray,umap]' --group dev
	touch $(VENV)/installed $@

clean:
	rm -rf $(VENV) $(VENV)-lowest .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
