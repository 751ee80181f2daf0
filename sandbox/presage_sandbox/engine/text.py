"""Tokens of an engine that has no tokenizer: one stated rule for prompts, one word a token for answers.

The rule for prompts is four characters a token, rounded up and at least one, over all text of the
request together; a prompt given as a list of token ids counts exactly. A caller who wants a prompt
of n tokens sends any text of 4 * n characters, or n ids.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from presage_sandbox.engine.errors import bad_request

CHARACTERS_PER_TOKEN = 4

_SENTENCE = (
    "ahead of demand the pods are ready before load comes and every answer streams on time because "
    "what each request will cost was predicted when it arrived so it went where it hurt least"
)
_WORDS = _SENTENCE.split()
_CYCLE = "".join(f" {word}" for word in _WORDS)
_ENDS = (0, *accumulate(len(word) + 1 for word in _WORDS))


def words(start: int, stop: int) -> str:
    """Give tokens `start` to `stop` of an answer: one word each, blanks between, none at the front."""
    turn, first = divmod(start, len(_WORDS))
    last = stop - turn * len(_WORDS)
    whole, rest = divmod(last, len(_WORDS))
    text = (_CYCLE * whole + _CYCLE[: _ENDS[rest]])[_ENDS[first] :]
    return text[1:] if start == 0 else text


def tokens_of(characters: int) -> int:
    """Count the tokens of a text of so many characters."""
    return max(1, -(-characters // CHARACTERS_PER_TOKEN))


def count_messages(body: dict[str, Any]) -> int:
    """Count the prompt tokens of a chat request: its texts and, as JSON, its tools.

    Raises ApiError (400) when `messages` is not what OpenAI's API takes.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages", "messages must be a non-empty list of {role, content}")
    characters = sum(_message_characters(message, i) for i, message in enumerate(messages))
    if tools := body.get("tools"):
        characters += len(json.dumps(tools, separators=(",", ":")))
    return tokens_of(characters)


def _message_characters(message: Any, index: int) -> int:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise bad_request(where, f"{where} must be an object with a role, for example 'user'")
    content = message.get("content")
    if content is None:  # an assistant's tool calls come without content
        return len(json.dumps(message.get("tool_calls") or ""))
    if isinstance(content, str):
        return len(content)
    if isinstance(content, list):
        return sum(_part_characters(part, where) for part in content)
    raise bad_request(f"{where}.content", f"{where}.content must be a string or a list of text parts")


def _part_characters(part: Any, where: str) -> int:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return len(part["text"])
    raise bad_request(f"{where}.content", f"{where}.content: this engine takes parts of type 'text' only")


def count_prompt(body: dict[str, Any]) -> int:
    """Count the prompt tokens of a completion request: a text, or a list of token ids.

    Raises ApiError (400) for anything else; several prompts in one request are not served.
    """
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return tokens_of(len(prompt))
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        return len(prompt)
    raise bad_request("prompt", "prompt must be one text or one non-empty list of token ids")
