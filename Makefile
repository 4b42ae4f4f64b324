PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test coverage test-all test-oldest lint types docs bench clean

# The extra index of a CUDA or CPU build can be given as PIP_EXTRA_INDEX_URL (README, "Other builds of PyTorch").
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,tracking]'
	@touch $@

# What the slow tests need on top: other packages that can run the encoder, Ray, a driver of browsers.
.venv/installed-all: .venv/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,tracking,dev-all]'
	@touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,tracking,docs]'
	@touch $@

# The oldest versions that pyproject.toml allows, in an environment of their own.
.venv-oldest/installed: pyproject.toml tools/oldest.py
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tools/oldest.py dev tracking heic draco > .venv-oldest/constraints.txt
	.venv-oldest/bin/pip install --quiet -c .venv-oldest/constraints.txt -e '.[dev,tracking,heic,draco]'
	@touch $@

install: .venv/installed

demo: install
	$(BIN)/warpgrasp demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/pyright

# Two processes, each with one thread: two cores are what the tests are meant for. One that dies is not replaced: pytest-xdist
# can wait for ever for what the new one is to do.
IN_TWO := -n 2 --dist loadfile --max-worker-restart 0

test: install
	$(BIN)/pytest $(IN_TWO) -m "not slow"

# Without Python 3.12's monitoring, measuring makes the tests slower by a half.
coverage: install
	$(BIN)/pytest $(IN_TWO) -m "not slow" --cov=warpgrasp --cov-report=term

test-all: .venv/installed-all
	$(BIN)/pytest $(IN_TWO) -m slow

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -m "not slow"

# A broken link, a page that is not in the navigation, or a public name without a docstring fails. Opens offline: site/index.html
docs: .venv/installed-docs
	$(BIN)/python -m pytest -q tests/test_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-oldest runs .pytest_cache .ruff_cache
