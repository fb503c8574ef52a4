# Every target makes its own environment: .venv is built when it is missing or pyproject.toml changed.

PYTHON ?= python3
PY     := .venv/bin/python
PYTEST := $(PY) -m pytest -q
VERSIONS := 3.11 3.12 3.13
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-browser assembler test-cuda fuzz lint format types golden bench ulp docs reference shipped size matrix conformance-pytensor conformance-keras clean

help: ## show this list
	@printf 'usage: make TARGET [ARGS="more arguments"]\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

.venv/.stamp: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check -e '.[docs,examples,test]'
	@touch $@

run: .venv/.stamp ## learn to read handwritten digits with two models, and draw their graphs
	$(PY) examples/digits_softmax.py $(ARGS)
	$(PY) examples/digits_mlp.py $(ARGS)

test: .venv/.stamp ## the quick tests
	$(PYTEST) -n 2 $(ARGS)

# Keras with its tests, for `make test-all` and `make conformance-keras`; without a network the tests
# say that it is not there.
.venv/.keras: .venv/.stamp
	-$(PY) -m pip install -q --disable-pip-version-check -e '.[conformance]' && touch $@

test-all: .venv/.stamp .venv/.keras ## all tests but those that need a GPU
	$(PYTEST) -n 2 -m 'not gpu' $(ARGS)

test-browser: .venv/.stamp ## viewer and site in Chromium (apt-get install chromium chromium-driver)
	@command -v chromedriver >/dev/null || { echo 'there is no chromedriver: apt-get install chromium chromium-driver'; exit 1; }
	$(PYTEST) -m browser tests/drawing $(ARGS)

assembler: .venv/.stamp ## NVIDIA's assembler, with which tests make and read machine code
	$(PY) -m pip install -q --disable-pip-version-check -e '.[assemble]'

test-cuda: .venv/.stamp ## all that needs an NVIDIA GPU, in 8 minutes: tests, compute-sanitizer, benchmarks
	$(PY) -m tests.cuda.hardware $(ARGS)

fuzz: .venv/.stamp ## compare all ways to compute N random graphs (N=50000); S=7 shows and reduces one
	$(PY) -m tests.fuzz $(if $(S),--seed $(S) --reduce,--count $(or $(N),5000) --workers 2 --save out/fuzz) $(ARGS)

lint: .venv/.stamp ## style and layout (make format mends most of it)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: .venv/.stamp ## mend style and layout where that can be done by machine
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: .venv/.stamp ## the type checker
	$(PY) -m mypy

golden: .venv/.stamp ## accept the present output of every stage as the golden text
	$(PYTEST) --update-golden -m 'not gpu' $(ARGS)

bench: .venv/.stamp ## the benchmarks beside their peers, as far as these are installed
	$(PY) benchmarks/bench.py $(ARGS)
	$(PY) benchmarks/compile_time.py $(if $(findstring --quick,$(ARGS)),--quick)

ulp: .venv/.stamp ## the accuracy of every vector function, float32 for all 2^32 arguments (hours)
	$(PY) -m benchmarks.accuracy --exhaustive --write $(ARGS)

docs: .venv/.stamp ## the documentation as a site in out/site, which needs no network
	$(PY) -m benchmarks.site $(ARGS)

reference: .venv/.stamp ## write the generated pages again: docs/reference/, features, NumPy's and Theano's names
	$(PY) -m benchmarks.reference --write
	$(PY) -m benchmarks.features --write
	$(PY) -m benchmarks.numpy_coverage --write
	$(PY) -m benchmarks.theano_coverage --write

shipped: .venv/.stamp ## compile the machine code that comes with the package again
	$(PY) -m tests.runtime.ship

size: ## lines and functions per directory, and what is over budget
	@$(PYTHON) benchmarks/size.py $(ARGS)

matrix: ## the quick tests on every installed Python that is supported
	@set -e; for version in $(VERSIONS); do \
	  found=; \
	  for python in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python; do \
	    if "$$python" -c 'import venv' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "== Python $$version: not installed"; continue; fi; \
	  echo "== Python $$version: $$found"; \
	  env=.matrix/$$version; \
	  if [ ! -e $$env/.stamp ] || [ pyproject.toml -nt $$env/.stamp ]; then \
	    "$$found" -m venv $$env; \
	    $$env/bin/python -m pip install -q --disable-pip-version-check -e '.[docs,examples,test]'; \
	    touch $$env/.stamp; \
	  fi; \
	  $$env/bin/python -m pytest -q -n 2 $(ARGS); \
	done

conformance-pytensor: ## PyTensor's own tests with symgraph's mode (S=checkout of its source)
	$(PY) -m pip install -q --disable-pip-version-check pytensor
	$(PY) -m tests.interop.conformance $(S) $(ARGS)

conformance-keras: .venv/.keras ## Keras' own tests on symgraph (ARGS="--sample 300", ARGS="ops layers/core")
	$(PY) -m tests.keras.conformance $(if $(ARGS),$(ARGS),--jax)

clean: ## remove environments, caches and everything built
	rm -rf .venv .matrix build dist out *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
