"""What fault tests start from."""

from operator_world import chat

__all__ = ["chat"]
