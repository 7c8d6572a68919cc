# Two commands are all a newcomer needs: make demo, make test. Both do their own set-up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/inferwatch
LOCK   := $(shell sha256sum requirements.lock | cut -c1-12)
# Locked third-party packages, built once per lock file and shared by every clone on the machine.
DEPS   := $(CACHE)/deps-$(LOCK)
# This clone: a small environment that sees DEPS and has inferwatch installed in editable mode.
VENV   := .venv
RUN    := $(VENV)/bin/python
ARGS   ?=

.PHONY: demo test lint format bench bench-drift bench-quality bench-alerts soak chaos lock clean setup

demo: setup
	$(VENV)/bin/inferwatch demo $(ARGS)

test: setup
	$(RUN) -m tests.side_by_side $(ARGS)

lint: setup .tree
	$(DEPS)/bin/ruff check .
	$(DEPS)/bin/ruff format --check .
	$(DEPS)/bin/mypy .tree/inferwatch
	PYTHONPATH=.tree $(DEPS)/bin/lint-imports --no-cache

format: setup
	$(DEPS)/bin/ruff check --fix .
	$(DEPS)/bin/ruff format .

bench: setup
	$(RUN) -W ignore -m tests.bench $(ARGS)

# Drift against Evidently and alibi-detect, some forty minutes. ARGS="--data FILE" where the data are elsewhere.
bench-drift: setup
	$(RUN) -W ignore -m tests.bench.drift $(ARGS)

# Toxicity and hallucination on data left out of their fit, a quarter of an hour once the detectors are fitted.
# ARGS="--data FOLDER" where the data are elsewhere.
bench-quality: setup
	$(RUN) -W ignore -m tests.bench.quality $(ARGS)

# Alerts: live against tests and back-tests, 10,000 instances, delivery under faults. Ten minutes.
bench-alerts: setup
	$(RUN) -W ignore -m tests.bench.alerts $(ARGS)

# Steady load on one worker for 100 minutes, of which the last 40 count; ARGS="--minutes 35 --warm-up 5" for less.
soak: setup
	$(RUN) -W ignore -m tests.bench.soak $(ARGS)

# Some forty seconds a schedule. ARGS="--seeds 0-99", "--resume" after an interruption.
chaos: setup
	$(RUN) -m tests.chaos.run $(ARGS)

# Takes the newest versions pyproject.toml allows. Needs uv (pip install uv).
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) .tree .inferwatch build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(VENV)/installed-$(LOCK)

$(DEPS)/complete:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "inferwatch needs Python 3.11 or newer, found " + sys.version)'
	@echo "Installing the locked packages into $(DEPS): once per lock file, a few minutes, about 5 GB (torch)."
	rm -rf $(DEPS)
	$(PYTHON) -m venv $(DEPS)
	$(DEPS)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	touch $@

$(VENV)/installed-$(LOCK): pyproject.toml $(DEPS)/complete
	rm -rf $(VENV)
	$(DEPS)/bin/python -m venv --without-pip $(VENV)
	$(DEPS)/bin/python -c 'import site; print(site.getsitepackages()[0])' > $$(echo $(VENV)/lib/python3*/site-packages)/locked.pth
	$(DEPS)/bin/python -m pip --python $(RUN) install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# mypy and import-linter do not see an editable install with mapped package folders: give them links.
.tree:
	mkdir -p .tree/inferwatch
	for part in schemas detectors streams infra; do ln -sfn ../../$$part .tree/inferwatch/$$part; done
