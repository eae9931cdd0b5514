# make demo: see it work.  make test: prove it.  Both set everything up themselves.
# make torture: prove it again, for an hour, with everything that can go wrong.
# make sabotage: prove the proofs, by breaking what they are for.
# make docs: write what documents say of the code's keys and packages.
.PHONY: all setup demo test torture sabotage sabotage-by-turns bundle check fmt docs
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
	.venv/bin/python tests/sabotage/run.py

# Breaks each promise of docs/reliability.md in a copy of the tree: a test has to fail for it.
sabotage: setup
	.venv/bin/python tests/sabotage/run.py

# Ten of them, others at each commit.
sabotage-by-turns: setup
	.venv/bin/python tests/sabotage/run.py --some 10

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

docs: setup
	.venv/bin/python scripts/write_key_documents.py
	.venv/bin/python scripts/draw_architecture
