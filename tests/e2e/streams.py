"""A client program: many concurrent streams through the official client; prints how each of them ended.

Usage: streams.py BASE_URL STREAMS TOKENS CUT_EVERY. Every CUT_EVERY-th stream (0: none) is closed after
its third token; it asks for an answer that is long enough not to end before that. Output: {"ended":
{"complete" | "cut" | "error" | "broken": count}, "models": [...], "plain": tokens of an answer that was
not streamed}.
"""

import asyncio
import collections
import json
import sys

import httpx
import openai

CUT_TOKENS = 2000
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


async def one(client: openai.AsyncOpenAI, tokens: int, cut: bool) -> str:
    """Tell how a stream ended: complete, cut by us, error (an event that says so), broken (neither)."""
    got = 0
    finished = False
    try:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "x" * 200}],
            stream=True,
            extra_headers={"x-emulated-output-tokens": str(CUT_TOKENS if cut else tokens)},
        )
        async for chunk in stream:
            choice = chunk.choices[0]
            got += len((choice.delta.content or "").split())
            finished = finished or choice.finish_reason is not None
            if cut and got >= 3:
                await stream.close()
                return "cut"
    except openai.APIError as error:
        return "error" if not isinstance(error, openai.APIConnectionError) else "broken"
    except httpx.HTTPError:
        return "broken"
    return "complete" if finished and got == tokens else "broken"


async def main(base_url: str, streams: int, tokens: int, cut_every: int) -> None:
    """Run them all at once."""
    limits = httpx.Limits(max_connections=None)
    web = httpx.AsyncClient(limits=limits, timeout=90, trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key="none", max_retries=0, http_client=web
    ) as client:
        models = [model.id for model in (await client.models.list()).data]
        plain = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=7
        )
        cuts = [bool(cut_every) and index % cut_every == 0 for index in range(streams)]
        ended = await asyncio.gather(*(one(client, tokens, cut) for cut in cuts))
    tokens_seen = plain.usage.completion_tokens if plain.usage else None
    print(json.dumps({"ended": collections.Counter(ended), "models": models, "plain": tokens_seen}))  # noqa: T201 - its output


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(each) for each in sys.argv[2:5])))
