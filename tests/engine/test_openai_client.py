"""The official client sees an engine that it cannot tell from vLLM by its answers."""

from typing import Any

import openai
import pytest

MESSAGES = [{"role": "user", "content": "x" * 40}]
MODEL = "test/model"


@pytest.fixture
async def client(engines: Any) -> Any:
    """Give an engine's official client."""
    engine = await engines()
    async with openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as it:
        yield it


def told(tokens: Any) -> Any:
    """Give the header that tells the engine how long its answer is."""
    return {"x-emulated-output-tokens": str(tokens)}


async def test_chat(client: Any) -> None:
    """A chat answer has the told number of words, counts itself, and says that it ended by itself."""
    answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=told(7))
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].message.content.split()) == 7
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        10,
        7,
        17,
    )


async def test_completion(client: Any) -> None:
    """A completion counts token ids exactly and is cut at 16 tokens unless it asks for more."""
    answer = await client.completions.create(model=MODEL, prompt=[5, 6, 7], extra_headers=told(40))
    assert answer.object == "text_completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 16)
    assert answer.choices[0].finish_reason == "length"
    assert len(answer.choices[0].text.split()) == 16


async def test_chat_stream(client: Any) -> None:
    """A chat stream gives the role first, each token once, one finish reason, and no usage unasked."""
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, extra_headers=told(50)
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert len(text.split()) == 50
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_stream_usage(client: Any) -> None:
    """With include_usage the last chunk, and only it, has the counts and no choices."""
    stream = await client.completions.create(
        model=MODEL,
        prompt="x" * 9,
        max_tokens=5,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=told(9),
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 5)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "length"


async def test_continuous_usage(client: Any) -> None:
    """With continuous_usage_stats each chunk counts exactly the words that came so far."""
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
        extra_headers=told(30),
    )
    text = ""
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content
        assert chunk.usage.completion_tokens == len(text.split())
    assert len(text.split()) == 30


async def test_models(client: Any) -> None:
    """The model list names the one model and its context length in tokens."""
    models = (await client.models.list()).data
    assert [model.id for model in models] == [MODEL]
    assert models[0].max_model_len == 4096


async def test_other_model(client: Any) -> None:
    """Another model's name is refused as the client knows it: 404 NotFoundError with both names."""
    with pytest.raises(openai.NotFoundError, match=r"`other` does not exist.*`test/model`"):
        await client.chat.completions.create(model="other", messages=MESSAGES)


async def test_context_length(client: Any) -> None:
    """A request beyond the context is refused with what it asked for and what there is."""
    with pytest.raises(openai.BadRequestError, match=r"maximum context length is 4096.*4106 tokens \(10 in"):
        await client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=4096)


async def test_several_answers(client: Any) -> None:
    """N above 1 is refused, not silently answered once."""
    with pytest.raises(openai.BadRequestError, match="n is 2"):
        await client.chat.completions.create(model=MODEL, messages=MESSAGES, n=2)


async def test_endpoint_that_is_not_there(client: Any) -> None:
    """An endpoint that this engine lacks is refused in OpenAI's form, with what there is instead."""
    with pytest.raises(
        openai.NotFoundError, match=r"no POST /v1/embeddings: it serves POST /v1/chat"
    ) as refused:
        await client.embeddings.create(model=MODEL, input="hello")
    assert refused.value.type == "NotFoundError"
