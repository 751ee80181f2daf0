"""Estimates prompt tokens from characters, corrected by what engines report.

No tokenizer runs in a sidecar: characters per token differ by language and model but hardly within one
service, so one moving ratio, learned from `usage.prompt_tokens`, is close and costs nothing. (Ours.)
"""

from presage_router.asked import Asked

_START = 4.0  # characters per token of English text
_WEIGHT = 0.02
_BOUNDS = (0.5, 12.0)


class PromptSizer:
    """Turns a request into prompt tokens; learns characters per token from finished requests."""

    def __init__(self) -> None:
        self.characters_per_token = _START

    def estimate(self, asked: Asked) -> int:
        """Return the prompt's tokens: exact where token ids were given, else by the learned ratio."""
        characters = len(asked.prompt) + asked.template_characters
        return max(1, asked.token_ids + round(characters / self.characters_per_token))

    def learn(self, asked: Asked, prompt_tokens: int) -> None:
        """Take in the true count of one request; long prompts weigh no more than short ones."""
        characters = len(asked.prompt) + asked.template_characters
        counted = prompt_tokens - asked.token_ids
        if characters <= 0 or counted <= 0:
            return
        ratio = min(max(characters / counted, _BOUNDS[0]), _BOUNDS[1])
        self.characters_per_token += _WEIGHT * (ratio - self.characters_per_token)
