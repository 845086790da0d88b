"""Prompts that mean the same get the same answer: who pays for vectors, and where it is not meant."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.call import Key
from gatemill.core.errors import UpstreamTimeout
from recall_stage import TAIL, WHOLE, Heard, Stage, asking, body, results


class Embedder:
    """Vectors by text; remembers who paid."""

    def __init__(self, **vectors) -> None:
        self.vectors = vectors
        self.paid = []

    async def __call__(self, call, model, text):
        self.paid.append((call.id, model, text))
        found = self.vectors[text]
        if isinstance(found, Exception):
            raise found
        return found


def meaning(**vectors) -> Stage:
    stage = Stage(embed=Embedder(**vectors), similar_model="embed", similar_min=0.9)
    stage.paid = stage.recall._embed.paid
    return stage


async def test_a_prompt_that_means_the_same_gets_the_same_answer():
    stage = meaning(Hi=[1, 0], Hello=[1, 0.1], Bye=[0, 1])
    first = asking("Hi")
    await stage.answered(first)
    call = asking("Hello")
    assert (await stage.hit(call)).body == body()
    assert (call.cache, call.reason) == ("hit", "similar 0.995")
    await stage.answered(asking("Bye"))
    assert [paid[1:] for paid in stage.paid] == [
        ("embed", "Hi"),
        ("embed", "Hello"),
        ("embed", "Bye"),
    ]
    assert stage.paid[0][0] == first.id


async def test_an_exact_hit_needs_no_vector():
    stage = meaning(Hi=[1, 0])
    await stage.answered(asking("Hi"))
    await stage.hit(asking("Hi"))
    assert len(stage.paid) == 1


@pytest.mark.parametrize(
    "other",
    [{"temperature": 0.5}, {"stream": True}, {"n": 2}, {"tools": []}, {"max_tokens": 5}],
)
async def test_with_other_parameters_the_same_words_are_another_question(other):
    stage = meaning(Hi=[1, 0], Hello=[1, 0])
    await stage.answered(asking("Hi"))
    await stage.begun(asking("Hello", **other))
    assert len(stage.provider.asked) == 2


async def test_similar_prompts_of_another_tenant_are_never_found():
    stage = meaning(Hi=[1, 0], Hello=[1, 0])
    await stage.answered(asking("Hi", key=Key(id="a", name="")))
    await stage.answered(asking("Hello", key=Key(id="b", name="")))


async def test_a_similar_stream_comes_as_a_stream():
    stage = meaning(Hi=[1, 0], Hello=[1, 0])
    await stage.streamed(asking("Hi", stream=True))
    again = Heard((await stage.hit(asking("Hello", stream=True))).stream).attach()
    assert again.sink.data == WHOLE + TAIL


async def test_a_similar_answer_must_be_fresh_and_young_enough():
    stage = meaning(Hi=[1, 0], Hello=[1, 0])
    await stage.answered(asking("Hi"))
    stage.clock.advance(10)
    await stage.hit(asking("Hello"), "max-age=10")
    await stage.answered(asking("Hello"), header="max-age=9")
    stage.clock.advance(60)
    await stage.answered(asking("Hi"))


async def test_when_the_embedding_fails_the_provider_is_asked():
    stage = meaning(Hi=UpstreamTimeout("slow"))
    await stage.answered(asking("Hi"))
    assert stage.recall.embed_failures == 1
    await stage.hit(asking("Hi"))


@pytest.mark.parametrize("header", ["no-cache", "no-store"])
async def test_who_does_not_read_pays_for_no_vector(header):
    stage = meaning(Hi=[1, 0])
    await stage.answered(asking("Hi"), header=header)
    assert stage.paid == []


async def test_a_question_without_a_last_text_is_compared_exactly():
    stage = meaning()
    call = asking()
    call.body = call.body.replace(b'"user"', b'"assistant"')
    await stage.answered(call)
    assert stage.paid == []


async def test_a_similar_answer_is_for_all_who_waited():
    stage = meaning(Hi=[1, 0], Hello=[1, 0])
    await stage.answered(asking("Hi"))
    release = asyncio.Event()
    plain = stage.recall._embed

    async def slow(call, model, text):
        await release.wait()
        return await plain(call, model, text)

    stage.recall._embed = slow
    calls = [asking("Hello") for _ in range(5)]
    tasks = [await stage.begun(call) for call in calls]
    release.set()
    assert {reply.body for reply in await results(tasks)} == {body()}
    assert {call.cache for call in calls} == {"hit"}
    assert len(stage.paid) == 2
