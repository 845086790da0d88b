"""What a graph is used for: embedding, classifying, ranking. Rule: no loop, no thread, no queue is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.local.onnx_model import bodies, tasks
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import ndarray

    from gatemill.core.ports import Incoming
    from gatemill.local.onnx_model.encoding import Encoded, Encoder
    from gatemill.local.onnx_model.session import Session
    from gatemill.local.onnx_model.tasks import Labels


class Work(Protocol):
    """One model's task. Each request is one `asked` of its own kind."""

    PATH: str
    """Of the operation, as the dialect says it."""

    def read(self, body: bytes) -> Any:
        """The request. Raises InvalidRequest and its kinds."""
        ...

    def encode(self, asked: Any) -> list[Encoded]:
        """What goes into the graph. Raises ContextLengthExceeded and its kin."""
        ...

    def compute(self, batch: Sequence[Encoded]) -> Sequence[ndarray]:
        """A row for each; runs in a thread. Raises UpstreamError."""
        ...

    def answer(self, asked: Any, encoded: Sequence[Encoded], rows: Sequence[ndarray]) -> Incoming:
        """The reply."""
        ...


class Embedding:
    """Texts to unit vectors."""

    PATH = "/embeddings"

    def __init__(
        self, name: str, graph: tuple[Session, Encoder], pooling: str, *, nested: bool
    ) -> None:
        """`nested`: the first dimensions of its vectors are vectors themselves (Matryoshka)."""
        self._name = name
        self._session, self._encoder = graph
        self._pooling = pooling
        self._nested = nested

    def read(self, body: bytes) -> bodies.Embed:
        """The request. Raises InvalidRequest and its kinds."""
        asked = fields.decode_head(bodies.read_embed, body)
        if asked.dimensions is not None and not self._nested:
            raise UnsupportedParameter(
                "`dimensions`: this model's vectors cannot be shortened. Leave it out.",
                param="dimensions",
            )
        bodies.texts(asked.input)
        return asked

    def encode(self, asked: bodies.Embed) -> list[Encoded]:
        """The texts. Raises ContextLengthExceeded."""
        return _encoded(self._encoder, bodies.texts(asked.input), truncate=bool(asked.truncate))

    def compute(self, batch: Sequence[Encoded]) -> Sequence[ndarray]:
        """Vectors [dimensions] float32."""
        output, mask = self._session.run(batch)
        return list(tasks.pooled(output, mask, self._pooling))

    def answer(
        self, asked: bodies.Embed, encoded: Sequence[Encoded], rows: Sequence[ndarray]
    ) -> Incoming:
        """OpenAI's list. Raises InvalidValue for more dimensions than there are."""
        if asked.dimensions is not None and asked.dimensions > len(rows[0]):
            raise InvalidValue(
                f"`dimensions`: this model's vectors have {len(rows[0])}. Ask for fewer.",
                param="dimensions",
            )
        return bodies.embeddings(self._name, rows, _tokens(encoded), asked)


class Classifying:
    """Texts to labels."""

    PATH = "/predict"

    def __init__(
        self, names: tuple[str, str | None], graph: tuple[Session, Encoder], labels: Labels
    ) -> None:
        """`names` are the model's and its version's."""
        self._names = names
        self._session, self._encoder = graph
        self._labels = labels

    def read(self, body: bytes) -> bodies.Predict:
        """The request. Raises InvalidRequest and its kinds."""
        asked = fields.decode_head(bodies.read_predict, body)
        bodies.texts(asked.input)
        return asked

    def encode(self, asked: bodies.Predict) -> list[Encoded]:
        """The texts. Raises ContextLengthExceeded."""
        return _encoded(self._encoder, bodies.texts(asked.input), truncate=bool(asked.truncate))

    def compute(self, batch: Sequence[Encoded]) -> Sequence[ndarray]:
        """Confidences [labels] float32."""
        logits, _ = self._session.run(batch)
        return list(tasks.shares(logits, self._labels))

    def answer(
        self, asked: bodies.Predict, encoded: Sequence[Encoded], rows: Sequence[ndarray]
    ) -> Incoming:
        """The predictions."""
        cut = [one.cut for one in encoded]
        told = bodies.predictions(self._names, rows, self._labels, (_tokens(encoded), cut))
        return bodies.predicted(told, asked.top_k or 1)


class Ranking:
    """A query and documents to scores."""

    PATH = "/rerank"

    def __init__(self, name: str, graph: tuple[Session, Encoder]) -> None:
        self._name = name
        self._session, self._encoder = graph

    def read(self, body: bytes) -> bodies.Rerank:
        """The request. Raises InvalidRequest and its kinds."""
        return fields.decode_head(bodies.read_rerank, body)

    def encode(self, asked: bodies.Rerank) -> list[Encoded]:
        """The query with each document. Raises ContextLengthExceeded and InvalidValue."""
        return self._encoder.pairs(
            asked.query, bodies.documents(asked), truncate=bool(asked.truncate)
        )

    def compute(self, batch: Sequence[Encoded]) -> Sequence[ndarray]:
        """Scores [] float32."""
        logits, _ = self._session.run(batch)
        return list(tasks.relevance(logits))

    def answer(
        self, asked: bodies.Rerank, encoded: Sequence[Encoded], rows: Sequence[ndarray]
    ) -> Incoming:
        """The documents by relevance."""
        scores = [float(row) for row in rows]
        return bodies.ranking(self._name, scores, _tokens(encoded), asked)


def _encoded(encoder: Encoder, texts: list[str], *, truncate: bool) -> list[Encoded]:
    single = len(texts) == 1
    return [
        encoder.encode(text, "input" if single else f"input.{index}", truncate=truncate)
        for index, text in enumerate(texts)
    ]


def _tokens(encoded: Sequence[Encoded]) -> int:
    return sum(len(one.ids) for one in encoded)
