"""Reads what a client asked for, as far as a decision needs it, and leaves the body alone.

Fields that are not understood are the engine's business: it answers for them, and they travel untouched.
"""

import json
import zlib
from dataclasses import dataclass
from typing import Any

from presage_router.errors import Refusal

ANONYMOUS = "anonymous"
_CHARACTERS_PER_MESSAGE = 16  # a chat template's own tokens, about four a message
_LONGEST_CLIENT = 256
_HOTTEST = 100  # a temperature beyond is refused by every engine
_STRUCTURED = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its body tells it. `token_ids` counts prompt tokens that were given as such."""

    model: str
    user: str
    stream: bool
    include_usage: bool
    continuous_usage: bool
    has_stream_options: bool
    has_priority: bool
    max_tokens: int | None
    prompt: str
    template_characters: int
    token_ids: int
    tools: bool
    response_format: str
    temperature: float | None
    session: str


def read_body(body: bytes) -> dict[str, Any]:
    """Parse a request body. Raises Refusal (400) when it is not a JSON object."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Refusal(
            "bad-request", f"the body is not JSON: {error}; send one JSON object in UTF-8"
        ) from None
    if not isinstance(document, dict):
        raise Refusal("bad-request", f"the body is a JSON {type(document).__name__}; send one JSON object")
    return document


def understand(document: dict[str, Any]) -> Asked:
    """Return what a decision needs of a completion or chat request."""
    texts, ids, messages = _prompt_parts(document)
    options = document.get("stream_options")
    options = options if isinstance(options, dict) else {}
    user = document.get("user")
    return Asked(
        model=_text(document.get("model")),
        user=user[:_LONGEST_CLIENT] if isinstance(user, str) and user else ANONYMOUS,
        stream=document.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        continuous_usage=options.get("continuous_usage_stats") is True,
        has_stream_options="stream_options" in document,
        has_priority="priority" in document,
        max_tokens=_max_tokens(document),
        prompt="\n".join(texts),
        template_characters=messages * _CHARACTERS_PER_MESSAGE,
        token_ids=ids,
        tools=bool(document.get("tools") or document.get("functions")),
        response_format=_response_format(document.get("response_format")),
        temperature=_temperature(document.get("temperature")),
        session=_text(document.get("prompt_cache_key"))[:_LONGEST_CLIENT],
    )


def _max_tokens(document: dict[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        value = document.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
    return None


def _response_format(value: Any) -> str:
    """Return "" for free text, else the kind of object asked for, a schema by the hash of its name."""
    kind = _text(value.get("type")) if isinstance(value, dict) else ""
    if kind not in _STRUCTURED:
        return ""
    schema = value.get("json_schema")
    name = _text(schema.get("name")) if isinstance(schema, dict) else ""
    return f"{kind}:{zlib.crc32(name.encode('utf-8', 'replace')):08x}" if name else kind


def _temperature(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _HOTTEST:
        return float(value)
    return None


def _prompt_parts(document: dict[str, Any]) -> tuple[list[str], int, int]:
    """Return texts in the order of the prompt, the count of token ids, the count of messages."""
    messages = document.get("messages")
    if isinstance(messages, list):
        texts = _tool_texts(document)
        for message in messages:
            if isinstance(message, dict):
                texts.extend(_message_texts(message))
        return texts, 0, len(messages)
    texts, ids = _completion_prompt(document.get("prompt"))
    return texts, ids, 0


def _tool_texts(document: dict[str, Any]) -> list[str]:
    """Return tools as the template writes them: at the head of the prompt."""
    tools = document.get("tools") or document.get("functions")
    return [json.dumps(tools, separators=(",", ":"))] if isinstance(tools, list) and tools else []


def _message_texts(message: dict[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [
        _text(part.get("text")) for part in content if isinstance(part, dict) and part.get("type") == "text"
    ]


def _completion_prompt(prompt: Any) -> tuple[list[str], int]:
    """Read every form that completions allow: text, texts, token ids, several lists of token ids."""
    if isinstance(prompt, str):
        return [prompt], 0
    if not isinstance(prompt, list):
        return [], 0
    texts = [part for part in prompt if isinstance(part, str)]
    ids = sum(1 for part in prompt if isinstance(part, int)) + sum(
        len(p) for p in prompt if isinstance(p, list)
    )
    return texts, ids


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
