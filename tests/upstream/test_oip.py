from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.errors import UnsupportedOperation
from gatemill.core.ports import Outgoing
from gatemill.upstream.oip import InferenceServer
from gatemill.upstream.pool import Pool
from house_for_tests import opened
from transports import ask, chat, ok, raw_server, request

ROWS = ['{"label": "POSITIVE", "score": 0.9}', '{"label": "NEGATIVE", "score": 0.8}']
ANSWER = {"model_name": "m", "outputs": [{"name": "o", "datatype": "BYTES", "data": ROWS}]}
REFUSAL = b'{"error": "input too long"}'


def server(heard):
    """Answers infer requests as MLServer does, and refuses a model."""

    async def handler(reader, writer):
        while data := await request(reader):
            heard.append(data)
            body = msgspec.json.encode(ANSWER)
            if b"/v2/models/picky/" in data:
                head = f"HTTP/1.1 400 Bad\r\ncontent-length: {len(REFUSAL)}\r\n\r\n".encode()
                writer.write(head + REFUSAL)
            else:
                writer.write(ok(body))
            await writer.drain()

    return raw_server(handler)


def predict(model="m"):
    body = msgspec.json.encode({"model": model, "input": ["a", "b"]})
    return Outgoing("/predict", body)


@pytest.fixture
async def heard():
    return []


async def test_an_inference_server_answers_as_our_models_do(heard):
    async with server(heard) as url:
        transport = InferenceServer(Pool(url, (), connections_max=2, tls=None))
        answer = await ask(transport, predict())
        assert msgspec.json.decode(answer.body)["predictions"][0]["label"] == "POSITIVE"
        assert heard[0].startswith(b"POST /v2/models/m/infer HTTP/1.1\r\n")
        refused = await transport.open(predict("picky"), *_patience())
        assert (refused.status, refused.body) == (400, REFUSAL)
        with pytest.raises(UnsupportedOperation):
            await ask(transport, chat("m"))
        await transport.close()


async def test_the_gateway_predicts_by_it(tmp_path, heard):
    async with server(heard) as url:
        config = f"""
[providers.triton]
kind = "oip"
base_url = "{url}"
[models.mood]
targets = ["triton/mood?version=2&input=TEXT"]
[models.picky]
targets = ["triton/picky"]
"""
        async with opened(tmp_path, config) as house:
            status, answer = await _post(house, "/v1/predict", model="mood", input=["a", "b"])
            assert status == 200
            assert answer["model"] == "mood"
            assert [one["label"] for one in answer["predictions"]] == ["POSITIVE", "NEGATIVE"]
            assert b"POST /v2/models/mood/versions/2/infer" in heard[0]
            assert b'"name":"TEXT"' in heard[0]
            status, answer = await _post(house, "/v1/predict", model="picky", input=["a", "b"])
            assert status == 400
            assert "input too long" in answer["error"]["message"]
            messages = [{"role": "user", "content": "hi"}]
            status, answer = await _post(
                house, "/v1/chat/completions", model="mood", messages=messages
            )
            assert (status, answer["error"]["code"]) == (400, "unsupported_operation")


def _patience():
    from transports import PATIENT, soon

    return PATIENT, soon()


async def _post(house, path, **body):
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    data = msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{house.port}\r\nconnection: close\r\n"
    head += f"authorization: Bearer {house.key}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    answer = await reader.read()
    writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return int(status.split()[1]), msgspec.json.decode(rest.partition(b"\r\n\r\n")[2])
