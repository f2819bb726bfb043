# `make run` and `make test` are all there is to know; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: bench flower hosts locales run test soak lint types format help clean

run: .venv/run.stamp ## start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/python -m bot.local

test: .venv/dev.stamp ## run every test
	@exec $(BIN)/python -m pytest $(ARGS)

flower: .venv/flower.stamp ## look at the queue in the browser, behind a password that it prints
	@exec $(BIN)/celery -q -A tasks flower --conf=tasks/flowerconfig.py

soak: .venv/dev.stamp ## 200 jobs and 60 kills, about 6 minutes; ARGS="--jobs 20 --kills 9" for fewer, "--rolling 4" for restarts
	@exec $(BIN)/python -m tests.end_to_end.soak $(ARGS)

hosts: .venv/dev.stamp ## four hosts and cut cables, about 4 minutes; needs root and iproute2; ARGS="--jobs 20 --cuts 1" for less
	@exec $(BIN)/python -m tests.end_to_end.hosts $(ARGS)

bench: .venv/dev.stamp ## speed against curl, Celery and Telegram's limits, about 20 minutes; ARGS="wire --rounds 3" for some
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

lint: .venv/dev.stamp ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.stamp ## check types
	$(BIN)/mypy

format: .venv/dev.stamp ## put code into style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locales: .venv/dev.stamp ## bring the catalogues of all languages up to date with the texts
	@$(BIN)/python -m tests.bot.catalogues

help: ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

clean: ## remove what installing made; the data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

# Without ensurepip (Debian's python3 alone), the pip that runs outside installs another one inside.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv .venv 2>/dev/null || { \
	  $(PYTHON) -m venv --clear --without-pip .venv && \
	  $(PYTHON) -m pip --disable-pip-version-check --python .venv/bin/python install -q pip; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'pip>=25.1'

.venv/run.stamp: requirements.txt | $(BIN)/pip
	@echo "Installing what the product runs on …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/flower.stamp: pyproject.toml .venv/run.stamp
	@echo "Installing Flower …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group flower
	@touch $@

.venv/dev.stamp: pyproject.toml .venv/run.stamp
	@echo "Installing what the tests need …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group dev
	@touch $@
