# Everything a person does with this project. `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-compile -c constraints.txt
# What pip would do on one core: torch alone has thousands of files. Some packages carry files
# of another Python's syntax, which are left as they are.
COMPILE := $(BIN)/python -m compileall -qq -j 0 .venv/lib || true

.DEFAULT_GOAL := help
.PHONY: help sweep test test-faults lint types docs bench results check pins hashes verify-pins clean

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

sweep: .venv/.run ## run the article's sweep into results/sweep.db and print its table
	$(BIN)/leaksweep run --preset article

# Threads of several processes that wait for one another on two cores took a tenth of a second's
# work to a minute.
test: lint types ## run linters, types and the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-faults: .venv/.dev ## kill, fill, lock, move, replace, damage: 68 faults, and what became of the trials
	$(BIN)/python tests/faults/loop.py

lint: .venv/.dev ## look for mistakes and for lines out of format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.dev ## check the types
	$(BIN)/mypy

check: .venv/.dev ## run the quick tests only
	$(BIN)/python -m pytest -m "not slow"

docs: .venv/.dev ## make the pages of docs/ that are made from the code and the results
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_queries.py
	$(BIN)/python docs/make_findings.py
	$(BIN)/python docs/make_examples.py
	$(BIN)/python benchmarks/compare.py --write

bench: .venv/.bench ## measure speed, beside peers: the tables of benchmarks/README.md (an hour)
	$(BIN)/python benchmarks/peers.py --write
	$(BIN)/python benchmarks/overhead.py --write
	$(BIN)/python benchmarks/million.py --write
	$(BIN)/python benchmarks/cluster.py --write
	$(BIN)/python benchmarks/watch.py --write

results: .venv/.dev ## run the presets to their ends: results/reference/ and docs/gallery.md
	$(BIN)/python results/make_reference.py
	$(BIN)/python docs/make_findings.py
	$(BIN)/python docs/make_gallery.py

pins: .venv/.dev ## write constraints.txt from what is installed
	@{ echo "# What the project is tested with; made by \`make pins\`."; \
	   $(BIN)/pip freeze --all --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt

hashes: .venv/.dev ## write pins/hashes.txt: a hash of each file that the pins stand for
	$(BIN)/python pins/make_hashes.py

verify-pins: .venv/.run ## download what is pinned and compare its hashes
	d=$$(mktemp -d); $(PIP) download --no-deps --require-hashes -d $$d -r pins/hashes.txt; \
	s=$$?; rm -rf $$d; exit $$s

clean: ## remove the environment and what tools left behind
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

# A stamp says that the environment is as the files ask. torch goes first and by its exact
# version: a looser requirement would take a CUDA build of several gigabytes.
.venv/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) pip setuptools
	$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	$(INSTALL) --no-build-isolation -e .
	$(COMPILE)
	touch $@

.venv/.dev: .venv/.run
	$(INSTALL) --no-build-isolation -e ".[dev]"
	$(INSTALL) --no-deps torcheck  # it asks for an older torch than it needs
	$(COMPILE)
	touch $@

# Ray is among the peers that are measured and is not needed for anything else.
.venv/.bench: .venv/.dev
	$(INSTALL) "ray[tune]==2.60.0"
	touch $@
