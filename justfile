# The whole interface of a developer. `just` lists it.

_default:
    @just --list --unsorted

# Start the server: no configuration, no key, no internet needed.
up *ARGS:
    uv run gatemill serve {{ARGS}}

# All tests. What needs a missing program or service is skipped with its reason.
test *ARGS:
    uv run --extra dev pytest {{ARGS}}

# Lint, format, types, rooms, dead code, dependencies.
check:
    uv run --extra dev ruff check
    uv run --extra dev ruff format --check
    uv run --extra dev mypy
    uv run --extra dev lint-imports
    uv run --extra dev vulture
    uv run --extra dev deptry src

# Format, and repair what can be repaired.
fix:
    uv run --extra dev ruff check --fix
    uv run --extra dev ruff format

# Rewrite the golden files; review the difference.
golden:
    PYTHONPATH=tests uv run --extra dev python tests/anthropic_cases.py
    PYTHONPATH=tests uv run --extra dev python tests/golden_responses.py

# Rewrite the documents made from code: settings, errors, metrics.
docs:
    uv run --extra dev python scripts/make_settings_doc.py
    uv run --extra dev python scripts/make_reference.py

# Compile data/prices.json from genai-prices.
prices:
    uv run --extra dev python scripts/compile_prices.py

# Pin every transitive dependency.
lock:
    uv run --extra dev python scripts/lock.py

# Ratios against nginx and, where it is installed, LiteLLM.
bench *ARGS:
    uv run --extra dev python -m bench {{ARGS}}

# Jobs and batches on SQLite and, where it is installed, Postgres.
bench-jobs *ARGS:
    uv run --extra dev python -m bench.jobs {{ARGS}}

# Test coverage, line by line.
coverage:
    uv run --extra dev coverage run -m pytest -n 0
    uv run --extra dev coverage report
