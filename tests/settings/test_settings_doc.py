from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from gatemill.settings.schema import keys_at, type_at

ROOT = Path(__file__).parents[2]


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maker", ROOT / "scripts/make_settings_doc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_models_say() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert page == maker().document(), "run: python scripts/make_settings_doc.py"


def test_every_option_has_one_sentence_and_a_unit_in_its_name() -> None:
    quantities = ("_s", "_bytes", "_count", "_depth", "_days", "_max", "_per_s", "share", "_min")
    for section in keys_at(()):
        model = type_at((section,)) if keys_at((section,)) else type_at((section, "name"))
        for name, field in model.model_fields.items():
            sentence = field.description
            assert sentence, f"{section}.{name}"
            assert sentence.endswith("."), f"{section}.{name}"
            assert ". " not in sentence, f"{section}.{name} has more than one sentence"
            if isinstance(field.default, float) and section != "prices":
                assert name.endswith(quantities), f"{section}.{name} does not say its unit"
