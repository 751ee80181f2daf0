"""Which instance has served a prompt's beginning before: hashes of leading blocks and a bounded index."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

BLOCK_CHARACTERS = 256  # about 64 tokens: four KV blocks
MAX_BLOCKS = 64  # 16 thousand characters tell prompts apart well enough
HASH_BYTES = 6  # 48 bits stay exact in every JSON reader


def prefix_blocks(text: str, max_blocks: int = MAX_BLOCKS) -> tuple[int, ...]:
    """Return one hash a whole leading block of text; each covers all before it: equal hash, equal prefix."""
    hashes: list[int] = []
    previous = b""
    for start in range(
        0, min(len(text), max_blocks * BLOCK_CHARACTERS) - BLOCK_CHARACTERS + 1, BLOCK_CHARACTERS
    ):
        block = text[start : start + BLOCK_CHARACTERS].encode("utf-8", "surrogatepass")
        previous = blake2b(previous + block, digest_size=HASH_BYTES).digest()
        hashes.append(int.from_bytes(previous, "big"))
    return tuple(hashes)


class PrefixIndex:
    """Block hash -> instance that served it last; the least recently used block goes first."""

    def __init__(self, max_blocks: int = 65536) -> None:
        if max_blocks < 1:
            raise ValueError(f"max_blocks is {max_blocks}: give at least 1")
        self._max = max_blocks
        self._owner: OrderedDict[int, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owner)

    def owner(self, blocks: Sequence[int]) -> tuple[str | None, int]:
        """Return who holds the longest known beginning of `blocks`, and how many blocks of it."""
        found: str | None = None
        count = 0
        for block in blocks:
            instance = self._owner.get(block)
            if instance is None or (found is not None and instance != found):
                break
            found, count = instance, count + 1
            self._owner.move_to_end(block)
        return found, count

    def record(self, blocks: Sequence[int], instance: str) -> None:
        """Note that `instance` has just served a prompt that begins with `blocks`."""
        for block in reversed(blocks):  # the beginning is used last, and so kept longest
            self._owner[block] = instance
            self._owner.move_to_end(block)
        while len(self._owner) > self._max:
            self._owner.popitem(last=False)

    def forget(self, instance: str) -> None:
        """Drop an instance that is gone."""
        for block in [block for block, owner in self._owner.items() if owner == instance]:
            del self._owner[block]


def cached_tokens(prompt_tokens: int, matched_blocks: int, prompt_characters: int) -> int:
    """Estimate the prompt tokens that `matched_blocks` cover, by their share of its characters."""
    if prompt_characters <= 0:
        return 0
    share = min(1.0, matched_blocks * BLOCK_CHARACTERS / prompt_characters)
    return int(prompt_tokens * share)
