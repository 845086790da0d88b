"""The process in which presidio runs: `python presidio_child.py`.

Rule: a line of options, then one line in and one line out for each request; it ends with its input. It
asks no network for anything: a pipeline that is not installed is an error, never a download.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import msgspec
from msgspec import Struct


class Options(Struct, frozen=True):
    """The first line."""

    language: str
    model: str  # an installed pipeline of spaCy; "" has rules and patterns only


class Asked(Struct):
    """A request."""

    number: int
    texts: list[str]


class Place(Struct):
    """What was found; offsets in characters."""

    start: int
    end: int
    kind: str
    score: float


class Answer(Struct):
    """An answer; `error` says why there is none."""

    number: int
    found: list[list[Place]] = []
    error: str = ""


def main() -> None:
    """Answers until the input ends."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=Options)
    analyzer: Any = None
    error = ""
    try:
        analyzer = analyzer_of(options)
    except (ImportError, OSError, ValueError) as failed:  # spaCy's for a pipeline that is not there
        error = str(failed)[:500]
    asked = msgspec.json.Decoder(Asked)
    for line in sys.stdin.buffer:
        request = asked.decode(line)
        answer = Answer(request.number, error=error)
        if analyzer is not None:
            answer.found = [_places(analyzer, text, options.language) for text in request.texts]
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def analyzer_of(options: Options) -> Any:
    """An analyser for one language, made without a download."""
    spacy: Any = import_module("spacy")
    presidio: Any = import_module("presidio_analyzer")
    engines: Any = import_module("presidio_analyzer.nlp_engine")
    domains: Any = import_module("tldextract")
    # It would fetch the list of public suffixes; the one in its package will do.
    domains.tldextract.TLD_EXTRACTOR = domains.TLDExtract(suffix_list_urls=(), cache_dir=None)
    language, model = options.language, options.model
    engine = engines.SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
    # Not engine.load(), which downloads what it does not find.
    engine.nlp = {language: spacy.load(model) if model else spacy.blank(language)}
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    return presidio.AnalyzerEngine(
        registry=registry, nlp_engine=engine, supported_languages=[language]
    )


def _places(analyzer: Any, text: str, language: str) -> list[Place]:
    found = analyzer.analyze(text=text, language=language)
    return [Place(one.start, one.end, one.entity_type.lower(), float(one.score)) for one in found]


if __name__ == "__main__":
    main()
