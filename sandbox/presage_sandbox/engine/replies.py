"""What an answer looks like on the wire: JSON bodies and server-sent events as vLLM writes them.

A chunk is put together from parts rendered once per request, since an engine under load writes
thousands of them a second; the words of an answer need no JSON escapes.
"""

from __future__ import annotations

from json import JSONEncoder
from typing import TYPE_CHECKING, Any

from presage_sandbox.engine.text import words

if TYPE_CHECKING:
    from presage_sandbox.engine.parameters import Parameters

DONE = b"data: [DONE]\n\n"
_json = JSONEncoder(separators=(",", ":")).encode


def usage(prompt_tokens: int, output_tokens: int) -> dict[str, int]:
    """Give OpenAI's usage object, in tokens."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }


def whole_answer(
    parameters: Parameters, answer_id: str, created: int, output_tokens: int, reason: str
) -> bytes:
    """Give the JSON body of an answer that was not streamed; `created` is in Unix seconds."""
    text = words(0, output_tokens)
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": reason, "stop_reason": None}
    if parameters.chat:
        choice["message"] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
    else:
        choice["text"] = text
    return _json(
        {
            "id": answer_id,
            "object": "chat.completion" if parameters.chat else "text_completion",
            "created": created,
            "model": parameters.model,
            "choices": [choice],
            "usage": usage(parameters.prompt_tokens, output_tokens),
        }
    ).encode()


class EventWriter:
    """Renders the server-sent events of one streamed answer."""

    def __init__(self, parameters: Parameters, answer_id: str, created: int) -> None:
        kind = "chat.completion.chunk" if parameters.chat else "text_completion"
        head = {"id": answer_id, "object": kind, "created": created, "model": parameters.model}
        self._head = "data: " + _json(head)[:-1] + ',"choices":'
        self._text = '"delta":{"content":"' if parameters.chat else '"text":"'
        self._text_end = '"}' if parameters.chat else '"'
        self._parameters = parameters

    def chunk(self, start: int, stop: int, reason: str | None) -> bytes:
        """Give the event of output tokens `start` to `stop`; the first one of a chat tells the role."""
        choice = (
            f'[{{"index":0,{self._text}{words(start, stop)}{self._text_end},"logprobs":null,'
            f'"finish_reason":{_json(reason)},"stop_reason":null}}]'
        )
        event = f"{self._head}{choice}{self._usage_of(stop)}}}\n\n"
        if start == 0 and self._parameters.chat:
            event = self._role() + event
        return event.encode()

    def end(self, output_tokens: int) -> bytes:
        """Give what follows the last chunk: the usage if it was asked for, then [DONE]."""
        if not self._parameters.include_usage:
            return DONE
        counts = _json(usage(self._parameters.prompt_tokens, output_tokens))
        return f'{self._head}[],"usage":{counts}}}\n\n'.encode() + DONE

    def _role(self) -> str:
        choice = (
            '[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]'
        )
        return f"{self._head}{choice}{self._usage_of(0)}}}\n\n"

    def _usage_of(self, output_tokens: int) -> str:
        if self._parameters.continuous_usage:
            return f',"usage":{_json(usage(self._parameters.prompt_tokens, output_tokens))}'
        return ',"usage":null' if self._parameters.include_usage else ""
