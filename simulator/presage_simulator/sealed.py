"""True lengths under seal, so that no policy decides by what only time will tell.

A policy that could see how long a response will be would win every comparison and be of no use. So the
replay carries lengths as `Sealed`, which anybody may hold and nobody may use; what is inside lies in the
`Seals` that made them, which the replay asks for it at two places: when an engine is handed its request,
and when nothing is left to decide. This stops leaks and slips, not a break-in: Python hides neither the
`Seals` nor an engine's own batch from who digs for them.
"""

import traceback
from collections.abc import Callable
from typing import Any, NoReturn

TOUCHES = (
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__bool__"),
    *("__int__", "__float__", "__complex__", "__index__", "__round__", "__trunc__", "__floor__", "__ceil__"),
    *("__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__divmod__", "__pow__"),
    *("__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rfloordiv__", "__rmod__", "__rdivmod__"),
    *("__rpow__", "__lshift__", "__rshift__", "__and__", "__or__", "__xor__", "__rlshift__", "__rrshift__"),
    *("__rand__", "__ror__", "__rxor__", "__neg__", "__pos__", "__abs__", "__invert__"),
    *("__repr__", "__str__", "__format__", "__bytes__", "__array__", "__iter__", "__len__", "__contains__"),
)


class OracleBoundaryError(RuntimeError):
    """Something used a true length before it was out."""


class Sealed:
    """A true length that nobody may use: whatever would read it raises OracleBoundaryError."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what


def _refusal(touch: str) -> Callable[..., NoReturn]:
    def refuse(self: Sealed, *_: Any) -> NoReturn:
        by = traceback.extract_stack(limit=2)[0]
        raise OracleBoundaryError(
            f"{by.name} ({by.filename}:{by.lineno}) used {touch} on {self._what}, which is not out yet: "
            "a policy may use predictions only"
        )

    return refuse


for _touch in TOUCHES:
    setattr(Sealed, _touch, _refusal(_touch))


class Seals:
    """Seals values, and is alone to open them."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[Sealed, int]] = {}  # by identity, which is theirs while they are kept

    def seal(self, value: int, what: str) -> Sealed:
        """Return a stand-in for the value; `what` names it in errors."""
        sealed = Sealed(what)
        self._values[id(sealed)] = (sealed, value)
        return sealed

    def open(self, sealed: Sealed) -> int:
        """Return what was sealed. Raises KeyError on what others sealed."""
        return self._values[id(sealed)][1]
