# The two commands: `make run` (everything, with a shop to click through) and `make test`. Everything is installed into .venv from the lock files.
PYTHON ?= python3
UV := .venv/bin/uv
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: install install-dev run test test-deps soak sdks browsers check fmt docs bench bench-tracker tracker lock clean

run: install
	.venv/bin/trackway up --demo

install: .venv/.installed
install-dev: .venv/.installed-dev

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet uv==0.13.9

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/uv
	$(UV) pip install --quiet --require-hashes -r requirements.lock
	$(UV) pip install --quiet --no-deps --editable .
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	$(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

test-deps: install-dev
	tests/install-services

test: test-deps
	.venv/bin/python -m pytest -n 2 --dist loadscope

# The vendors' SDKs, unmodified, before a collector; writes the table in docs/sdks.md.
sdks: test-deps
	tests/install-sdks
	.venv/bin/python -m pytest -n 2 --dist loadscope -m sdks --sdk-table tests/sdks

# The tracker's and the demo shop's whole list of tests in Chromium and Firefox: what `make test` has of them, and the
# long ones.
# These mostly wait, so more at once than there are cores; in their own order, because xdist's, the modules with most
# tests first, leaves the slowest for the end.
browsers: test-deps
	tests/install-sdks
	.venv/bin/python -m pytest -n 3 --no-loadscope-reorder --dist loadgroup -m 'browser or browsers' tests/demo tests/tracker

# Services are killed and frozen by signal, so they are processes here, also where Docker runs.
soak: export TRACKWAY_TEST_SERVICES = local
soak: test-deps
	.venv/bin/python -m pytest -m soak --capture=sys tests/soak

check: install-dev static/node_modules/.package-lock.json
	node static/build.mjs --compare
	static/node_modules/.bin/tsc --project static
	static/node_modules/.bin/tsc --project static/types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tests/house.py

# The tracker's served files, static/dist, from their sources, and their sizes in docs/tracker-performance.md.
tracker: static/node_modules/.package-lock.json
	node static/build.mjs
	.venv/bin/python -m bench.tracker --page

static/node_modules/.package-lock.json: static/package-lock.json | .venv/.installed-dev
	@command -v npm >/dev/null || tests/install-services
	npm ci --prefix static --prefer-offline --no-audit --no-fund --loglevel=error
	@touch $@

fmt: install-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: install
	for page in settings commands metrics names; do \
		.venv/bin/python -m trackway.reference $$page > docs/.$$page.md && mv docs/.$$page.md docs/$$page.md || exit 1; done

bench: test-deps
	.venv/bin/python -m bench

# What the tracker costs a page beside others; writes docs/tracker-performance.md.
bench-tracker: test-deps
	tests/install-sdks
	.venv/bin/python -m bench.tracker

lock: .venv/bin/uv
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras pyproject.toml -o requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras --group dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv var
