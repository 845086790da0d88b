"""The files against the schemas of their makers, which packages of 110 MB bring: `just test-deploy`."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path

import pytest
import yaml

import heavy

pytestmark = heavy.needs(
    "kubernetes_validate", "check_jsonschema", "dockerfile_parse", "jsonschema"
)
DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "k8s").glob("*.yaml"))
KUBERNETES = ("1.30", "1.34", "1.37")


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(version):
    validate = importlib.import_module("kubernetes_validate")
    for one in [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]:
        if not one["apiVersion"].startswith("kustomize."):
            validate.validate(one, version, strict=True)


def test_compose_knows_every_field():
    folder = Path(importlib.import_module("check_jsonschema").__file__).parent
    schema = json.loads((folder / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    said = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    importlib.import_module("jsonschema").validate(said, schema)


def test_the_dockerfile_is_read_as_it_was_meant():
    parse = importlib.import_module("dockerfile_parse")
    file = parse.DockerfileParser(fileobj=io.BytesIO((DEPLOY / "Dockerfile").read_bytes()))
    assert file.is_multistage
    assert [image.partition(" ")[0] for image in file.parent_images] == [
        "python:3.12-slim-bookworm"
    ] * 2
    known = {"ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "VOLUME", "EXPOSE"}
    known |= {"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "COMMENT"}
    assert {one["instruction"] for one in file.structure} <= known
