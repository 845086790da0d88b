"""A classifier from labelled examples: a linear head on the vectors of an embedding model.

Rule: the embedding model runs here, and is asked on the account of whoever hands the job in; the
version is made once, whatever dies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import InvalidValue, PermissionDenied, UpstreamBadReply
from gatemill.jobs.checking import check_model
from gatemill.ledger.registry_rows import NewVersion

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "models.train_head"
QUEUE = "documents"
TIMEOUT_S = 3_600.0

EXAMPLES_MAX = 10_000
LABELS_MAX = 100
LABEL_CHARS_MAX = 200
TEXT_CHARS_MAX = 20_000
FEATURES_MAX = 32  # of one example
EACH_MIN = 2  # examples of a label, so that one can be held out
HERE = ("builtin", "local")  # providers whose models cost nothing that no key pays for
_TEXTS = 64  # in one request

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_CHARS_MAX)]


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and what it is."""

    text: Text
    label: Label
    # What is known besides, by name: "user.tier" -> "gold". Numbers, words, true and false.
    features: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=200)], str | float | bool | None],
        Meta(max_length=FEATURES_MAX),
    ] = {}


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The examples, and what to make of them."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]  # of the registry
    examples: Annotated[list[Example], Meta(min_length=4, max_length=EXAMPLES_MAX)]
    embedding_model: Annotated[str, Meta(min_length=1, max_length=200)] = "builtin/hash-512"
    l2: Annotated[float, Meta(ge=1e-6, le=10.0)] = 1e-3  # how much large weights are held down
    card: Annotated[str, Meta(max_length=16_384)] = ""


class _Vector(Struct):
    index: int
    embedding: list[float]


class _Answer(Struct):
    data: list[_Vector]


_answer = msgspec.json.Decoder(_Answer)


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises PermissionDenied, InvalidValue, ModelNotFound."""
    if not key.admin:
        raise PermissionDenied("Making a version of a model needs an admin key.")
    check_model(gateway, key, args.embedding_model)
    embedder_of(gateway, args.embedding_model)
    counts = Counter(example.label for example in args.examples)
    if not 2 <= len(counts) <= LABELS_MAX:
        raise InvalidValue(
            f"`examples`: have {len(counts)} labels. Send 2 to {LABELS_MAX}.", param="examples"
        )
    label, fewest = min(counts.items(), key=lambda item: item[1])
    if fewest < EACH_MIN:
        raise InvalidValue(
            f"`examples`: `{label[:60]}` has one example. Send at least {EACH_MIN} of each label; some"
            " dozens do better.",
            param="examples",
        )


def embedder_of(gateway: Gateway, name: str) -> str:
    """The embedding model as heads name it, "builtin/hash-512". Raises InvalidValue."""
    route = gateway.routes.leaf(name)
    targets = () if route is None else route.targets
    if len(targets) != 1 or targets[0].provider not in HERE:
        raise InvalidValue(
            f"`embedding_model`: `{name[:100]}` does not run here. Name builtin/hash-512, or one of"
            " [local]: its vectors are made anew for every prediction, and cost nothing.",
            param="embedding_model",
        )
    return f"{targets[0].provider}/{targets[0].model}"


async def run(ctx: Context, args: Args) -> Any:
    """`model`, its new `version`, and the `metrics` on held-out examples."""
    desk = ctx.services.rooms.registry
    await desk.check_head(args.name)
    embedder = embedder_of(ctx.services.gateway, args.embedding_model)

    async def make() -> dict[str, Any]:
        vectors = await _vectors(ctx, args)
        new = await asyncio.to_thread(_trained, args, embedder, vectors)
        made = await desk.add_head(args.name, new, ctx.job.key_id)
        return {"model": args.name, "version": made.version, "metrics": made.metrics}

    return await ctx.step("version", make)


async def _vectors(ctx: Context, args: Args) -> Any:
    """The vectors: ndarray [examples, dimensions] float32."""
    numpy: Any = import_module("numpy")
    rows: list[Any] = []
    total = len(args.examples)
    for start in range(0, total, _TEXTS):
        texts = [example.text for example in args.examples[start : start + _TEXTS]]
        body = {"model": args.embedding_model, "input": texts, "encoding_format": "float"}
        answer = _answer.decode(await ctx.ask("embeddings", msgspec.json.encode(body)))
        if len(answer.data) != len(texts):
            raise UpstreamBadReply(
                "The embedding model did not answer with a vector for each text."
            )
        # As 32-bit floats at once: ten thousand lists of numbers take a gigabyte.
        rows += [
            numpy.array(each.embedding, dtype=numpy.float32)
            for each in sorted(answer.data, key=lambda each: each.index)
        ]
        ctx.progress(min(start + _TEXTS, total), total, "vectors")
    if len({len(row) for row in rows}) != 1:
        raise UpstreamBadReply("The embedding model gave vectors of different lengths.")
    return numpy.stack(rows)


def _trained(args: Args, embedder: str, vectors: Any) -> NewVersion:
    """The version of the head; blocks for seconds."""
    training: Any = import_module("gatemill.registry.training")
    linear: Any = import_module("gatemill.local.linear")
    labels = [example.label for example in args.examples]
    features = [example.features for example in args.examples]
    made = training.train(vectors, labels, features, args.l2)
    weights: bytes = linear.written(made.head)
    return NewVersion(
        source=f"head:{embedder}",
        engine="head",
        sha256=sha256(weights).hexdigest(),
        options={"embedding_model": embedder},
        params={"l2": args.l2, "labels": list(made.head.labels)},
        metrics=made.metrics,
        card=args.card,
        weights=weights,
    )
