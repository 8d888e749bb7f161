# Each target sets up what it needs in .venv by itself, and finds it there the next time.
#
#   make demo     classify the photo of a cat with the network that ships inside the package
#   make test     every test: normal build, checked kernels, no kernels, wheel
#   make fuzz     damaged files for the readers, led by coverage; FORMAT=pth SECONDS=3600
#   make bench    the measured tables of the README, into benchmarks/results
#   make lint     ruff, cython-lint, mypy
#   make build    compile the kernels in place (a second run compiles only what changed)
#   make clean    remove what was built, but neither .venv nor a training run
#
# PYTHON=python3.12 makes .venv with another Python; TORCH=torch==2.12.0 tests against another
# torch, TORCH=none without.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
FORMAT ?= all
SECONDS ?= 300

PY := .venv/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
PYTEST := .venv/bin/pytest
BENCHMARKS := parity layers ladder_conv memory startup convert features flowers transfer sixteen \
	adaptation midlevel retrieval search peers
CHELSEA := import importlib.util, pathlib; \
	print(pathlib.Path(importlib.util.find_spec("skimage").origin).parent / "data" / "chelsea.png")
# Before a folder: take decaf from there, and not from the working directory.
ELSEWHERE := PYTHONSAFEPATH=1 PYTHONPATH=
KERNEL_TESTS = $(wildcard tests/test_plan.py \
	$(patsubst decaf/_kernels/%.pyx,tests/test_%.py,$(wildcard decaf/_kernels/*.pyx)))
# (The layers in NumPy have been through the normal build already.)
NUMPY_TESTS := tests/packaging/check_no_kernels.py $(wildcard \
	tests/test_import.py tests/test_ops.py tests/test_plan.py tests/test_net.py tests/test_cli.py)
SOURCES = pyproject.toml setup.py MANIFEST.in README.md \
	$(shell find decaf weights -type f ! -name '*.so' ! -name '*.pyc')

.PHONY: demo test test-normal test-checked test-no-kernels test-wheel fuzz bench lint build clean
.NOTPARALLEL:
.DEFAULT_GOAL := demo

# A photo of a cat, which scikit-image brings along, and what the network says to it.
demo: .venv/.extra-demo build
	@.venv/bin/decaf classify "$$($(PY) -c '$(CHELSEA)')"

test: test-normal test-checked test-no-kernels test-wheel

# The whole suite on the normal build. Without torch for this Python its tests skip, and say so.
test-normal: .venv/.extra-test .venv/.torch .venv/.opencv4 build
	$(PYTEST) --kernels=all

# The tests of the kernels once more, on a copy of the package whose kernels check every index.
test-checked: .venv/.extra-test .venv/.torch
	DECAF_DEBUG_KERNELS=1 $(PY) setup.py --quiet build --build-base build/checked \
	    --build-lib build/checked/lib
	grep -q RaiseBufferIndexError build/checked/temp*/decaf/_kernels/conv.c
	$(ELSEWHERE)$(CURDIR)/build/checked/lib $(PYTEST) --kernels=all $(KERNEL_TESTS)

# What a machine without a compiler gets: one warning, and NumPy's answers.
test-no-kernels: .venv/.extra-test .venv/.torch
	CC=/bin/false $(PY) setup.py --quiet build --build-base build/no-kernels \
	    --build-lib build/no-kernels/lib
	$(ELSEWHERE)$(CURDIR)/build/no-kernels/lib $(PYTEST) --kernels=none \
	    -W "ignore:decaf's compiled kernels are not built" $(NUMPY_TESTS)

# What users install: sdist, a wheel built from it, in an environment of its own and far from here.
test-wheel: .venv/.extra-test build/wheel/.installed
	$(PY) tests/packaging/check_archives.py build/wheel/dist
	cd / && $(CURDIR)/build/wheel/venv/bin/python $(CURDIR)/tests/packaging/check_installed.py \
	    "$$($(CURDIR)/$(PY) -c '$(CHELSEA)')"

# Longer than the tests do it; goes on from build/fuzz/corpus.
fuzz: .venv/.extra-test .venv/.extra-fuzz build
	$(PY) tests/fuzz/fuzz_atheris.py '$(FORMAT)' '$(SECONDS)'

# Every benchmark checks its result before it takes the time, and writes JSON.
bench: .venv/.extra-test .venv/.extra-bench .venv/.torch build
	set -e; for name in $(BENCHMARKS); do $(PY) benchmarks/$$name.py; done
	$(PY) benchmarks/tables.py

lint: .venv/.extra-lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PATH="$(CURDIR)/.venv/bin:$$PATH" cython-lint decaf/_kernels
	$(PY) -m mypy

# Without a compiler this prints a line that says so, and succeeds: decaf then computes with NumPy.
build: .venv/.made
	$(PY) setup.py --quiet build_ext --inplace

clean:
	rm -rf *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis decaf/_kernels/*.so
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	find build -mindepth 1 -maxdepth 1 ! -name training -exec rm -rf {} + 2>/dev/null || true

# --- the environment ---

.venv/.made:
	@$(PYTHON) -c 'import ensurepip, venv' || \
	    { echo '$(PYTHON) cannot make environments: install its venv and pip packages' >&2; false; }
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade setuptools cython
	@touch $@

# decaf itself, editable, with one of the extras of pyproject.toml. The kernels are left to `build`.
.venv/.extra-%: .venv/.made pyproject.toml
	DECAF_NO_KERNELS=1 $(PIP) install --no-build-isolation --editable '.[$*]'
	@touch $@

# torch is no extra: it may be there already, in a build for the CPU alone, or not at all.
.venv/.torch: .venv/.made
	@[ '$(TORCH)' = none ] || $(PY) -W ignore -c 'import torch' 2>/dev/null || \
	    $(PIP) install '$(TORCH)+cpu' 2>/dev/null || \
	    { echo '$(TORCH): no build for the CPU alone; trying the common one, of several GB' \
	        '(make TORCH=none goes without)' >&2; $(PIP) install '$(TORCH)'; } || true
	@if $(PY) -W ignore -c 'import torch' 2>/dev/null; \
	    then $(PIP) install --no-deps '$(TORCHVISION)' && touch $@; \
	    else echo 'warning: without torch the tests that need it are skipped' >&2; fi

# OpenCV 4 had the last importer of Caffe's files. It lies apart: benchmarks measure OpenCV 5.
.venv/.opencv4: .venv/.made
	@$(PIP) install --no-deps --upgrade --target .venv/opencv4 'opencv-python-headless<5' && touch $@ || \
	    echo 'warning: without OpenCV 4 the tests that compare with its importer are skipped' >&2

build/wheel/.installed: .venv/.extra-test $(SOURCES)
	rm -rf build/wheel/dist && mkdir -p build/wheel
	$(PY) -m build --outdir build/wheel/dist . >build/wheel/log 2>&1 || { cat build/wheel/log; false; }
	test -d build/wheel/venv || $(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --quiet --disable-pip-version-check install \
	    --upgrade --force-reinstall --no-deps build/wheel/dist/*.whl
	build/wheel/venv/bin/python -m pip --quiet --disable-pip-version-check install build/wheel/dist/*.whl
	@touch $@
