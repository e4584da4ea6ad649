# The front door. `make demo` and `make test` are all the set-up there is.
SHELL := /usr/bin/env bash
BIN := .venv/bin
CODE := $(wildcard src tests lab tools benchmarks reader check)
LAB ?= .lab
WORKERS ?= -n 2 --dist loadfile --no-loadscope-reorder
.PHONY: run demo lab test cover check format bench soak docs wheel deb lock servers

run: .venv/made                     ## start what a user starts
	$(BIN)/drctl --help
demo: .venv/made                    ## an image backed up, changed, verified, restored
	tools/demo.sh
lab: servers                        ## leave Ceph, RGW and MinIO running in $(LAB)
	$(BIN)/python -m lab up $(LAB) --rgw
cover: WORKERS += --cov --cov-report=term-missing
test cover: servers                      ## all tests, each worker with its own servers; ARGS="tests/unit -k name"
	$(BIN)/pytest $(WORKERS) $(ARGS)
check: .venv/made wheel docs
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py
	$(BIN)/python tools/check_pins.py
format: .venv/made
	$(BIN)/ruff check --fix-only --exit-zero $(CODE) && $(BIN)/ruff format $(CODE)
bench: servers
	$(BIN)/python -m benchmarks $(ARGS)
soak: servers                       ## everything at once, and faults; MINUTES=20
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),20)
docs: .venv/made
	$(BIN)/python tools/check_links.py
wheel deb: .venv/made               ## the wheel and its bill of materials; the Debian package
	tools/$@.sh
lock: ; tools/lock.sh $(ARGS)       ## pin anew; ARGS="--upgrade-package NAME"
servers: .venv/made
	$(BIN)/python -m lab install
	$(BIN)/python tools/link_ceph.py
.venv/made: requirements/dev.txt pyproject.toml tools/venv.sh check/drd_check.py
	tools/venv.sh
