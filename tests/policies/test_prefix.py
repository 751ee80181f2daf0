"""Prefixes: equal beginnings have equal hashes, and the index is bounded and right about who had them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.routing import PrefixIndex, cached_tokens, prefix_blocks
from presage_policies.routing.prefix import BLOCK_CHARACTERS, MAX_BLOCKS


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=600))
def test_shared_beginnings_share_hashes(common: str, one: str, other: str) -> None:
    """Two texts share as many leading hashes as they share whole leading blocks."""
    a, b = prefix_blocks(common + one), prefix_blocks(common + other)
    first, second = common + one, common + other
    same = 0
    while (same + 1) * BLOCK_CHARACTERS <= min(len(first), len(second)) and (
        first[: (same + 1) * BLOCK_CHARACTERS] == second[: (same + 1) * BLOCK_CHARACTERS]
    ):
        same += 1
    shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert shared == same


def test_hashes_are_bounded() -> None:
    """A short text has none, a very long one a bounded number, and each is exact in a double."""
    assert prefix_blocks("x" * (BLOCK_CHARACTERS - 1)) == ()
    blocks = prefix_blocks("x" * 10**6)
    assert len(blocks) == MAX_BLOCKS
    assert all(0 <= b < 2**48 for b in blocks)


def test_the_index_knows_the_longest_known_beginning() -> None:
    """The owner is who served the beginning, for as many blocks as it served without a gap."""
    index = PrefixIndex()
    index.record((1, 2, 3), "a")
    index.record((1, 2, 9), "b")
    assert index.owner((1, 2, 9, 10)) == ("b", 3)
    assert index.owner((7,)) == (None, 0)
    index.forget("b")
    assert index.owner((1, 2, 9)) == (None, 0)


def test_beginnings_outlast_ends() -> None:
    """When the index is full, what goes first is the oldest, and of one prompt its end."""
    index = PrefixIndex(max_blocks=3)
    index.record((1, 2, 3), "a")
    index.record((8,), "b")
    assert index.owner((1, 2, 3)) == ("a", 2)
    assert len(index) == 3
    with pytest.raises(ValueError, match="max_blocks is 0"):
        PrefixIndex(0)


def test_cached_tokens_follow_the_share_of_text() -> None:
    """Half the characters matched are half the tokens; nothing matched of an empty prompt is none."""
    assert cached_tokens(100, 1, 2 * BLOCK_CHARACTERS) == 50
    assert cached_tokens(100, 9, BLOCK_CHARACTERS) == 100
    assert cached_tokens(100, 1, 0) == 0
