from __future__ import annotations

import math

import msgspec
import pytest

from gatemill.core.errors import UnsupportedOperation, UpstreamBadReply
from gatemill.core.ports import Outgoing
from gatemill.providers import oip
from gatemill.providers.oip import Wanted


def asked(model="sentiment", texts=("good", "bad"), **fields):
    body = msgspec.json.encode({"model": model, "input": list(texts), **fields})
    return oip.request(Outgoing("/predict", body, (("x-a", "b"),)))


def told(*outputs, texts=2, top_k=1, output="", labels=(), **fields):
    body = msgspec.json.encode({"model_name": "m", "outputs": outputs, **fields})
    return msgspec.json.decode(oip.reply(body, Wanted(texts, top_k, output, labels)))


def tensor(data, datatype="BYTES", name="out"):
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def test_texts_become_one_tensor():
    out, wanted = asked(top_k=3)
    assert out.path == "/v2/models/sentiment/infer"
    assert out.headers == (("x-a", "b"),)
    [given] = msgspec.json.decode(out.body)["inputs"]
    assert given == {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}
    assert wanted == Wanted(2, 3, "", ())


def test_a_model_may_say_what_its_server_needs():
    out, wanted = asked("my model?version=3&input=TEXT&output=probs&labels=neg,pos&other=1")
    assert out.path == "/v2/models/my%20model/versions/3/infer"
    body = msgspec.json.decode(out.body)
    assert body["inputs"][0]["name"] == "TEXT"
    assert body["outputs"] == [{"name": "probs"}]
    assert (wanted.output, wanted.labels) == ("probs", ("neg", "pos"))


def test_one_text_is_one_text():
    body = msgspec.json.encode({"model": "m", "input": "good"})
    out, wanted = oip.request(Outgoing("/predict", body))
    assert msgspec.json.decode(out.body)["inputs"][0]["data"] == ["good"]
    assert wanted.texts == 1


def test_other_operations_are_refused():
    with pytest.raises(UnsupportedOperation):
        oip.request(Outgoing("/chat/completions", b"{}"))


def test_labels_in_json_are_read():
    answer = told(
        tensor(['{"label": "POSITIVE", "score": 0.9}', '{"label": "NEGATIVE", "score": 0.8}']),
        model_version="7",
    )
    assert [one["label"] for one in answer["predictions"]] == ["POSITIVE", "NEGATIVE"]
    assert [one["confidence"] for one in answer["predictions"]] == [0.9, 0.8]
    assert answer["version"] == "7"


def test_all_labels_of_a_text_in_one_json_are_ranked():
    rows = (
        '[{"label": "a", "score": 0.2}, {"label": "b", "score": 0.7}, {"label": "c", "score": 0.1}]'
    )
    [found] = told(tensor([rows]), texts=1, top_k=2)["predictions"]
    assert found["label"] == "b"
    assert found["scores"] == [{"label": "b", "score": 0.7}, {"label": "a", "score": 0.2}]


def test_triton_s_classification_is_read():
    data = ["0.9:1:pos", "0.1:0:neg", "6e-1:0:neg", "0.4:1:pos"]
    answer = told(tensor(data), top_k=2)
    assert [one["label"] for one in answer["predictions"]] == ["pos", "neg"]
    assert answer["predictions"][1]["confidence"] == 0.6
    assert told(tensor(["0.9:4"]), texts=1)["predictions"][0]["label"] == "4"


def test_probabilities_with_labels_stay_and_logits_become_some():
    labels = ("neg", "pos")
    answer = told(tensor([0.25, 0.75, 0.5, 0.5], "FP32"), labels=labels)
    assert answer["predictions"][0]["confidence"] == 0.75
    [found] = told(tensor([[-1.0, 2.0]], "FP16"), texts=1, labels=labels)["predictions"]
    assert found["label"] == "pos"
    assert math.isclose(found["confidence"], 1 / (1 + math.exp(-3)))


def test_the_named_tensor_is_read():
    first, second = tensor(["0.9:1:a"], name="x"), tensor(["0.8:1:b"], name="y")
    assert told(first, second, texts=1, output="y")["predictions"][0]["label"] == "b"


@pytest.mark.parametrize(
    ("outputs", "texts", "labels"),
    [
        ([], 1, ()),
        ([tensor(["positive"])], 1, ()),  # a label without a score
        ([tensor([0.5, 0.5], "FP32")], 1, ()),  # numbers without labels
        ([tensor([0.5, 0.5], "FP32")], 1, ("a", "b", "c")),
        ([tensor([0.5, "x"], "FP32")], 1, ("a", "b")),
        ([tensor(["0.9:1:a"])], 2, ()),
        ([tensor(["7.5:1:a"])], 1, ()),  # a logit
        ([tensor(["[]"])], 1, ()),
        ([tensor(["[1]", '{"label": 1, "score": 2}'])], 2, ()),
        ([tensor([5])], 1, ()),
        ([tensor(["0.1.2:1:a"])], 1, ()),
        ([tensor([0.5, 10**400], "FP32")], 1, ("a", "b")),
    ],
)
def test_what_cannot_be_understood_is_no_answer(outputs, texts, labels):
    with pytest.raises(UpstreamBadReply):
        told(*outputs, texts=texts, labels=labels)


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"outputs": 1}', b"\xff"])
def test_what_is_not_the_protocol_is_no_answer(body):
    with pytest.raises(UpstreamBadReply):
        oip.reply(body, Wanted(1, 1, "", ()))
