"""Heads: the same examples give the same head, and the figures are those of held-out examples."""

from __future__ import annotations

import numpy as np
import pytest

from gatemill.core.errors import InvalidValue, ModelLoadFailed
from gatemill.local import linear, safetensors
from gatemill.local.linear import Column
from gatemill.registry import training

LABELS = ("bug", "billing", "praise")


def clouds(count: int, spread: float, seed: int = 7):
    """`count` vectors [count, 16] around three points, and their labels."""
    rng = np.random.default_rng(seed)
    at = rng.integers(0, 3, count)
    centres = np.eye(3, 16) * 4
    return (centres[at] + rng.normal(size=(count, 16)) * spread).astype(np.float32), [
        LABELS[k] for k in at
    ]


def test_what_can_be_told_apart_is_told_apart_and_twice_the_same():
    vectors, labels = clouds(120, 1.0)
    first = training.train(vectors, labels, [{}] * 120, 1e-3)
    again = training.train(vectors, labels, [{}] * 120, 1e-3)
    assert linear.written(first.head) == linear.written(again.head)
    assert first.head.labels == ("billing", "bug", "praise")
    assert first.metrics["accuracy"] > 0.95
    assert first.metrics["folds"] == 5 and first.metrics["examples"] == 120
    other, wanted = clouds(60, 1.0, seed=8)
    scores = first.head.scores(other, [{}] * 60)
    assert np.allclose(scores.sum(axis=1), 1.0)
    right = [
        first.head.labels[k] == label
        for k, label in zip(scores.argmax(axis=1), wanted, strict=True)
    ]
    assert np.mean(right) > 0.95


def test_what_cannot_be_told_apart_is_not_said_to_be():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(90, 64)).astype(np.float32)
    labels = [LABELS[k] for k in rng.integers(0, 3, 90)]
    metrics = training.train(vectors, labels, [{}] * 90, 1e-3).metrics
    assert (
        metrics["accuracy"] < 0.5
    )  # on the examples themselves a head of 64 dimensions gets nearly all
    assert 0.05 < metrics["accuracy_margin"] < 0.15
    assert set(metrics["recall"]) == set(LABELS)
    assert metrics["always_the_commonest"] >= 0.34


def test_the_weights_are_those_of_the_lowest_loss():
    # With one number and no spread inside a label, the optimum is known to be symmetric.
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=np.float32)
    head = training.train(vectors, ["a", "a", "b", "b"], [{}] * 4, 0.1).head
    assert head.weight == pytest.approx(-head.weight[::-1], abs=1e-3)
    assert head.bias == pytest.approx([0.0, 0.0], abs=1e-3)
    # At the optimum the gradient of the loss is the penalty's: (1/4)·X'(p - y) + l2·w = 0.
    shares = head.scores(vectors, [{}] * 4)
    errors = shares - np.eye(2)[[0, 0, 1, 1]]
    assert errors.T @ vectors / 4 + 0.1 * head.weight == pytest.approx(np.zeros((2, 2)), abs=2e-4)


def test_few_examples_of_a_label_make_fewer_folds():
    vectors, labels = clouds(40, 1.0)
    labels[:2] = ["rare", "rare"]
    labels = [
        ("rare" if at < 2 else "bug" if label == "rare" else label)
        for at, label in enumerate(labels)
    ]
    assert training.train(vectors, labels, [{}] * 40, 1e-3).metrics["folds"] == 2


def test_features_decide_where_the_vectors_do_not():
    vectors = np.ones((40, 8), dtype=np.float32)
    features = [
        {"user.tier": "gold" if at % 2 else "free", "age": float(at % 2)} for at in range(40)
    ]
    labels = ["praise" if at % 2 else "bug" for at in range(40)]
    made = training.train(vectors, labels, features, 1e-3)
    assert made.metrics["accuracy"] == 1.0
    assert made.head.columns == (Column("age", (), 0.5, 0.5), Column("user.tier", ("free", "gold")))
    assert made.head.dimensions == 8
    scores = made.head.scores(
        vectors[:3], [{"user.tier": "gold", "age": 1}, {}, {"user.tier": "new"}]
    )
    gold, nothing, unknown = scores[:, made.head.labels.index("praise")]
    assert gold > 0.9
    assert nothing == unknown == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "features",
    [
        [{"x": f"word {at}"} for at in range(21)],
        [{"x": 1}, {"x": "one"}],
        [{"x": [1]}, {"x": [2]}],
    ],
)
def test_a_feature_of_too_many_kinds_is_refused(features):
    with pytest.raises(InvalidValue, match="the feature `x`"):
        training.columns_of(features)


def test_a_number_that_cannot_be_squared_is_refused_and_changes_no_score_later():
    with pytest.raises(InvalidValue, match="beyond 1e\\+12"):
        training.columns_of([{"n": 1e308}, {"n": 1.0}])
    vectors, labels = clouds(40, 1.0)
    head = training.train(vectors, labels, [{"n": float(at)} for at in range(40)], 1e-3).head
    assert np.isfinite(head.scores(vectors[:1], [{"n": 1e308}])).all()


def test_a_truth_is_a_word_and_a_feature_that_nobody_has_is_none():
    assert training.columns_of([{"x": True, "y": None}, {"x": False}]) == (
        Column("x", ("false", "true")),
    )
    (column,) = training.columns_of([{"n": 3}, {"n": 3}])
    assert (column.mean, column.scale) == (3.0, 1.0)
    rows = linear.encoded([column], [{"n": 5}, {"n": "five"}, {"n": float("nan")}, {}])
    assert rows.tolist() == [[2.0], [0.0], [0.0], [0.0]]


def test_a_head_is_read_back_as_it_was_written():
    vectors, labels = clouds(30, 1.0)
    head = training.train(vectors, labels, [{"n": at} for at in range(30)], 1e-3).head
    again = linear.read(linear.written(head))
    assert (again.labels, again.columns) == (head.labels, head.columns)
    assert np.array_equal(again.weight, head.weight) and np.array_equal(again.bias, head.bias)


def test_a_vector_of_zeros_has_a_score():
    vectors, labels = clouds(30, 1.0)
    head = training.train(vectors, labels, [{}] * 30, 1e-3).head
    assert np.isfinite(head.scores(np.zeros((1, 16)), [{}])).all()


def _file(**changes) -> bytes:
    tensors = {
        "weight": safetensors.Tensor((2, 3), b"\0" * 24),
        "bias": safetensors.Tensor((2,), b"\0" * 8),
    }
    told = '{"labels":["a","b"],"columns":[]}'
    metadata = {"format": "gatemill-head-1", "head": told, **changes.pop("metadata", {})}
    return safetensors.written({**tensors, **changes}, metadata)


def test_other_weights_are_refused():
    assert linear.read(_file()).dimensions == 3
    whole = _file()
    for wrong in (
        b"",
        b"\x80\x04\x95junk of a pickle",
        whole[:-1],
        whole[:20],
        (1 << 40).to_bytes(8, "little") + whole[8:],
        whole.replace(b'"F32"', b'"F64"'),
        whole.replace(b"[0,24]", b"[0,20]"),
        whole.replace(b"[0,24]", b"[9,24]"),
        whole.replace(b'{"dtype"', b'["dtype"'),
        _file(metadata={"format": "another"}),
        _file(metadata={"head": "{}"}),
        _file(metadata={"head": '{"labels":["a"],"columns":[]}'}),
        _file(bias=safetensors.Tensor((3,), b"\0" * 12)),
        _file(weight=safetensors.Tensor((6,), b"\0" * 24)),
        safetensors.written(
            {}, {"format": "gatemill-head-1", "head": '{"labels":[],"columns":[]}'}
        ),
    ):
        with pytest.raises(ModelLoadFailed):
            linear.read(wrong)


def test_the_files_are_those_of_the_format():
    numpy_file = _file()
    size = int.from_bytes(numpy_file[:8], "little")
    assert size % 8 == 0
    tensors, metadata = safetensors.read(numpy_file)
    assert tensors["weight"].shape == (2, 3)
    assert metadata["format"] == "gatemill-head-1"
