# make demo: see it work.  make test: prove it.  Both set everything up themselves.
# make torture: prove it again, for an hour, with everything that can go wrong.
.PHONY: all setup demo test torture bundle check fmt
all: check test

# The environment is made again when what it is made from has changed.
setup: .venv/.complete
.venv/.complete: pyproject.toml constraints.txt scripts/setup
	scripts/setup
	touch $@

demo: setup
	scripts/demo

# Four side by side, whatever the cores: they wait more than they compute.
test: setup
	.venv/bin/python -m pytest -n 4 --no-loadscope-reorder

torture: setup
	scripts/setup torture
	.venv/bin/python -m pytest -m torture

# One archive for machines without network; see docs/operations.md.
bundle: setup
	scripts/bundle

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --strict

fmt: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
