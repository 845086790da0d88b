"""Labelled vectors -> a linear head, and how good it is.

Rule: deterministic; the same examples give the same weights, bit for bit on one machine. It blocks, so
it runs in a thread.

Multinomial logistic regression with an L2 penalty, by L-BFGS. The figures come of examples that the
head was not trained on. Source: Nocedal and Wright, "Numerical Optimization", algorithm 7.4.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.local.linear import Column, Head, as_text, encoded, normal, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy import ndarray

STEPS_MAX = 200
MEMORY = 10  # steps that the curvature is told by
CLOSE = 1e-4  # the largest part of the gradient at which it ends
LENGTH_MIN = 1e-6  # of a step
FOLDS = 5
VALUES_MAX = 20  # that one category may have
NUMBER_MAX = 1e12  # of a feature, either way: its square is to fit


class Trained(Struct, frozen=True):
    """A head, and its figures."""

    head: Head
    metrics: dict[str, Any]


def train(
    vectors: ndarray, labels: Sequence[str], features: Sequence[dict[str, Any]], l2: float
) -> Trained:
    """The head of all examples, with the accuracy on held-out ones.

    `vectors` is [examples, dimensions]; every label stands at least twice. Raises InvalidValue for a
    feature that is neither a number nor one of a few words.
    """
    names = tuple(sorted(set(labels)))
    target = np.array([names.index(label) for label in labels])
    columns = columns_of(features)
    inputs = np.concatenate((normal(vectors), encoded(columns, features)), axis=1)
    weight, bias = _fit(inputs, target, len(names), l2)
    head = Head(names, columns, weight.astype(np.float32), bias.astype(np.float32))
    return Trained(head, _metrics(inputs, target, names, l2))


def columns_of(features: Sequence[dict[str, Any]]) -> tuple[Column, ...]:
    """What to make of each feature that some example has. Raises InvalidValue."""
    found = []
    for name in sorted({name for known in features for name in known}):
        values = [known[name] for known in features if known.get(name) is not None]
        if values and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            if max(map(abs, values)) > NUMBER_MAX:
                raise InvalidValue(
                    f"`examples`: the feature `{name[:60]}` has a number beyond {NUMBER_MAX:g}. Send it"
                    " in a larger unit.",
                    param="examples",
                )
            scale = float(np.std(values))
            found.append(Column(name, (), float(np.mean(values)), scale or 1.0))
            continue
        words = sorted({as_text(value) for value in values})
        if len(words) > VALUES_MAX or not all(isinstance(v, (str, bool)) for v in values):
            raise InvalidValue(
                f"`examples`: the feature `{name[:60]}` must be a number everywhere, or one of at most"
                f" {VALUES_MAX} words.",
                param="examples",
            )
        if words:
            found.append(Column(name, tuple(words)))
    return tuple(found)


def _fit(inputs: ndarray, target: ndarray, count: int, l2: float) -> tuple[ndarray, ndarray]:
    """Weights [count, columns] and bias [count], float64."""
    wide = np.concatenate((inputs, np.ones((len(inputs), 1))), axis=1).astype(np.float32)
    wanted = np.eye(count)[target]
    penalty = np.full(wide.shape[1], l2)
    penalty[-1] = 0.0  # of the bias

    def loss(flat: ndarray) -> tuple[float, ndarray]:
        at = flat.reshape(count, -1)
        logits = (wide @ at.T.astype(np.float32)).astype(np.float64)
        shares = softmax(logits)
        value = -np.log(np.maximum((shares * wanted).sum(axis=1), 1e-300)).mean()
        errors = (shares - wanted).astype(np.float32)
        gradient = (errors.T @ wide).astype(np.float64) / len(wide) + at * penalty
        return float(value + 0.5 * (at * at * penalty).sum()), gradient.ravel()

    found = _lowest(loss, np.zeros(count * wide.shape[1])).reshape(count, -1)
    return found[:, :-1], found[:, -1]


def _lowest(loss: Callable[[ndarray], tuple[float, ndarray]], at: ndarray) -> ndarray:
    """Where a smooth convex function is lowest, near enough."""
    value, gradient = loss(at)
    past: deque[tuple[ndarray, ndarray]] = deque(maxlen=MEMORY)  # steps, and what they changed
    for _ in range(STEPS_MAX):
        if float(np.abs(gradient).max()) < CLOSE:
            break
        direction = -_bent(gradient, past)
        slope = float(direction @ gradient)
        length = 1.0
        while True:
            after, (lower, steeper) = at + length * direction, loss(at + length * direction)
            if lower <= value + 1e-4 * length * slope or length < LENGTH_MIN:
                break
            length /= 2.0
        if length < LENGTH_MIN:
            break  # as low as these numbers can tell
        past.append((after - at, steeper - gradient))
        at, value, gradient = after, lower, steeper
    return at


def _bent(gradient: ndarray, past: deque[tuple[ndarray, ndarray]]) -> ndarray:
    """The gradient times what the last steps tell of the inverse curvature: two loops, as Nocedal has it."""
    bent = gradient.copy()
    shares: list[float] = []
    for step, change in reversed(past):
        share = float(step @ bent) / float(step @ change)
        bent -= share * change
        shares.append(share)
    if past:
        step, change = past[-1]
        bent *= float(step @ change) / float(change @ change)
    for (step, change), share in zip(past, reversed(shares), strict=True):
        bent += step * (share - float(change @ bent) / float(step @ change))
    return bent


def _metrics(inputs: ndarray, target: ndarray, names: tuple[str, ...], l2: float) -> dict[str, Any]:
    counts = Counter(target.tolist())
    folds = min(FOLDS, *counts.values())
    # The examples of a label go to the folds in turn, as they come.
    seen: Counter[int] = Counter()
    fold = np.zeros(len(target), dtype=int)
    for at, label in enumerate(target.tolist()):
        fold[at] = seen[label] % folds
        seen[label] += 1
    right = np.zeros(len(target), dtype=bool)
    for each in range(folds):
        held = fold == each
        weight, bias = _fit(inputs[~held], target[~held], len(names), l2)
        guesses = (inputs[held] @ weight.T + bias).argmax(axis=1)
        right[held] = guesses == target[held]
    accuracy = float(right.mean())
    return {
        "accuracy": round(accuracy, 4),
        # Half of a 95 % interval, as if the examples were drawn at random.
        "accuracy_margin": round(1.96 * (accuracy * (1 - accuracy) / len(target)) ** 0.5, 4),
        "always_the_commonest": round(max(counts.values()) / len(target), 4),
        "recall": {
            name: round(float(right[target == at].mean()), 4) for at, name in enumerate(names)
        },
        "examples": len(target),
        "folds": folds,
    }
