# Short names for what people do here. Each sets up what it needs; a bare machine has Python 3.11 or newer, make and git.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
BIN := .venv/bin
READY := .venv/.ready
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
TOGETHER := -n 2 --dist loadgroup --no-loadscope-reorder

TIER ?= real
COMPARISON ?= comparison

.PHONY: reproduce real smoke compare why estimate test test-all lint mutants bench bench-gpu stability disagreement gallery docs lock help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

reproduce: $(READY) ## every table and figure on generated stand-in data (40 to 55 minutes on two cores)
	$(BIN)/snakemake
	@$(BIN)/avbalance open

real: $(READY) ## the same on real recordings: make real GRID=<folder with s1/ and align/> (about 70 minutes on two cores)
	@if [ -n "$$GRID" ]; then \
	  test -d "$$GRID" || { echo "error: GRID=$$GRID is no folder; give the one that holds s1/ and align/."; exit 1; }; \
	  test -L downloads/grid -o ! -e downloads/grid || { echo "error: downloads/grid is a folder of its own; leave GRID out, or move that folder away."; exit 1; }; \
	  mkdir -p downloads && ln -sfn "$$(cd "$$GRID" && pwd -P)" downloads/grid; \
	fi
	$(BIN)/snakemake --config tier=$(TIER)
	@$(BIN)/avbalance open $(TIER)

smoke: $(READY) ## the same as reproduce with tiny data and three epochs, to see that everything runs (two to four minutes)
	$(BIN)/snakemake --config tier=smoke

compare: $(READY) ## every method beside a Baseline tuned as much, on generated data (about 40 minutes on two cores); COMPARISON=comparison-real: on recordings
	$(BIN)/snakemake --config tier=$(COMPARISON)
	@$(BIN)/avbalance open $(COMPARISON)

why: $(READY) ## why jobs are pending, in words; ARGS="--config tier=smoke" asks for another configuration
	@$(BIN)/avbalance why $(ARGS)

estimate: $(READY) ## what the paper tier costs on a cluster; ARGS="--config tier=demo" asks for another configuration
	@$(BIN)/avbalance estimate $(or $(ARGS),--config tier=paper)

test: $(READY) ## the tests (8 to 30 minutes on two cores)
	$(PYTEST) $(TOGETHER) -m "not slow"

test-all: $(READY) ## the tests and the slow ones: kills, full disks, sharing between two people, clusters (35 to 80 minutes)
	$(PYTEST) $(TOGETHER) --durations 40

lint: $(READY) ## style, formats, the workflow's own linter, types, which packages may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

mutants: $(READY) ## break one line per item of the fidelity checklists and see a test fail
	$(BIN)/python tests/mutants.py

bench: $(READY) ## speed and memory as ratios beside wanted values; memory is kept as in jobs
	MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864 $(BIN)/python benchmarks/run.py

# What acts here: PyTorch's kernels, oneDNN, MKL on Intel (on AMD it uses AVX2 anyway), and NumPy's OpenBLAS.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell
JUDGED := papers/claims.md papers/balanced-audiovisual/table2.csv

stability: $(READY) ## whether verdicts stay the same under another instruction set: the headline rows, natively and under AVX2
	env $(foreach pin,$(AVX2),-u $(firstword $(subst =, ,$(pin)))) $(BIN)/snakemake --config tier=stability name=stability-native -- $(addprefix results/stability-native/,$(JUDGED))
	env $(AVX2) $(BIN)/snakemake --config tier=stability name=stability-avx2 -- $(addprefix results/stability-avx2/,$(JUDGED))
	$(BIN)/avbalance compare results/stability-native results/stability-avx2

disagreement: $(READY) ## by how many points choices such as epoch, optimiser and parts move an accuracy (four to ten minutes)
	$(BIN)/snakemake --config tier=disagreement
	@$(BIN)/avbalance open disagreement

bench-gpu: $(READY) ## what a GPU does: every row of the paper tier, resume, determinism, throughput (at most 8 minutes)
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

gallery: $(READY) ## copy what docs/gallery, the README and the list of methods show from results/real and results/demo
	$(BIN)/python docs/gallery/update.py
	$(BIN)/python docs/reference/make_methods.py

docs: $(READY) ## the documentation as a site: docs/_build/index.html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -c docs . docs/_build

lock: ## renew requirements.lock (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra dev --extra remotes --no-header --no-annotate pyproject.toml -o requirements.lock

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; install Python 3.11 or run make PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
