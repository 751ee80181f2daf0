"""From a JSON body to what the engine must know, refusing what it could not answer faithfully.

Fields that do not change how many tokens come out, or that nobody knows, are ignored, as vLLM does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from presage_sandbox.engine.errors import ApiError, bad_request
from presage_sandbox.engine.text import count_messages, count_prompt

COMPLETION_DEFAULT_TOKENS = 16  # the OpenAI API's default for /v1/completions


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One request in tokens. `limit` is the most output tokens; `draw_key` seeds a drawn length."""

    chat: bool
    model: str
    prompt_tokens: int
    limit: int
    min_tokens: int
    ignore_eos: bool
    priority: int
    stream: bool
    include_usage: bool
    continuous_usage: bool
    draw_key: str


def read_parameters(body: Any, *, chat: bool, model: str, context_tokens: int) -> Parameters:
    """Check `body` (parsed JSON) against the served `model` and its context, in tokens.

    Raises ApiError: 404 for another model, else 400, naming the field at fault.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "the request body must be a JSON object")
    _check_model(body, model)
    _check_unsupported(body, chat=chat)
    prompt_tokens = count_messages(body) if chat else count_prompt(body)
    stream = _boolean(body, "stream")
    include_usage, continuous = _stream_options(body, stream=stream)
    limit = _limit(body, prompt_tokens, context_tokens, chat=chat)
    return Parameters(
        chat=chat,
        model=body.get("model") or model,
        prompt_tokens=prompt_tokens,
        limit=limit,
        min_tokens=min(_integer(body, "min_tokens", least=0) or 0, limit),
        ignore_eos=_boolean(body, "ignore_eos"),
        priority=_integer(body, "priority") or 0,
        stream=stream,
        include_usage=include_usage,
        continuous_usage=continuous,
        draw_key=f"{body.get('seed')}|{body.get('messages') if chat else body.get('prompt')}",
    )


def _check_model(body: dict[str, Any], model: str) -> None:
    asked = body.get("model")
    if asked is not None and asked != model:
        raise ApiError(404, f"The model `{asked}` does not exist; this engine serves `{model}`.", "model")


def _check_unsupported(body: dict[str, Any], *, chat: bool) -> None:
    for field in ("n", "best_of"):
        if (_integer(body, field, least=1) or 1) != 1:
            raise bad_request(
                field, f"{field} is {body[field]}: this engine gives one answer a request, use 1"
            )
    if not chat and _boolean(body, "echo"):
        raise bad_request("echo", "echo is not supported: this engine keeps no prompt, leave it out")


def _limit(body: dict[str, Any], prompt_tokens: int, context_tokens: int, *, chat: bool) -> int:
    field = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    asked = _integer(body, field, least=1)
    if asked is None and not chat:
        asked = COMPLETION_DEFAULT_TOKENS
    least_output = asked or 1
    if prompt_tokens + least_output > context_tokens:
        part = "messages" if chat else "prompt"
        raise bad_request(
            part if prompt_tokens >= context_tokens else field,
            f"This model's maximum context length is {context_tokens} tokens. However, you requested "
            f"{prompt_tokens + least_output} tokens ({prompt_tokens} in the {part}, {least_output} in the "
            f"completion). Please shorten the {part} or lower {field}.",
        )
    return asked or context_tokens - prompt_tokens


def _stream_options(body: dict[str, Any], *, stream: bool) -> tuple[bool, bool]:
    options = body.get("stream_options")
    if options is None:
        return False, False
    if not stream:
        raise bad_request("stream_options", "stream_options needs stream to be true: leave it out")
    if not isinstance(options, dict):
        raise bad_request("stream_options", f"stream_options must be an object, got {options!r}")
    include = _boolean(options, "include_usage")
    return include, include and _boolean(options, "continuous_usage_stats")


def _integer(body: dict[str, Any], field: str, least: int | None = None) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if type(value) is not int:  # True is an int to isinstance
        raise bad_request(field, f"{field} must be a whole number, got {value!r}")
    if least is not None and value < least:
        raise bad_request(field, f"{field} must be at least {least}, got {value}")
    return value


def _boolean(body: dict[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise bad_request(field, f"{field} must be true or false, got {value!r}")
    return value
