"""PreServe's load anticipator (arXiv 2504.03702): the KV use U[i] of one instance, i iterations ahead.

Each running request is kept as the rest of its ramp: it holds prompt + generated tokens now, grows by
one an iteration and ends after its predicted length. Updates are O(1); U is summed over all ramps when
asked for, in O(requests + the longest ramp), and kept until something changes. Bids look at it through
`ramps`, which never writes U out.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from presage_policies.ramps import Floats, Ramps

EXTENSION = 0.2  # of the predicted length, again and again, for a response that outlives it (PreServe)
OVERLOAD_SLOTS = 100  # U[0:100] is looked at (PreServe)
OVERLOAD_LEVEL = 0.95  # a slot above it is overloaded (PreServe)
OVERLOAD_SHARE = 0.10  # an instance is, when more than this share of those slots are (PreServe)


class Anticipator:
    """Projected KV use of one instance.

    Slot 0 is the iteration that has just ended, slot i the i-th after it. A request counts from the end
    of its prefill (`start`); what was accepted and is not prefilled yet (`reserve`) only counts in
    `committed`, which admission looks at. Unknown ids in `progress` and `finish` are ignored: a stream
    may end before its first token.
    """

    def __init__(self, kv_capacity_tokens: int, slots: int = 4096) -> None:
        if kv_capacity_tokens < 1 or slots < 1:
            raise ValueError(
                f"kv_capacity_tokens is {kv_capacity_tokens} and slots {slots}: both must be at least 1"
            )
        self._kv_capacity_tokens = kv_capacity_tokens
        self.slots = slots
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._prompt: Floats = np.zeros(0)
        self._offset = np.zeros(0, dtype=np.int64)  # tokens generated, less one: the ramp's slot 0
        self._length = np.zeros(0, dtype=np.int64)  # predicted, and extended; 0 = row unused
        self._extension = np.zeros(0, dtype=np.int64)
        self._started = np.zeros(0, dtype=bool)
        self._kept: dict[str, Floats] = {}  # arrays over all slots since the last change
        self._ramps: dict[str, Ramps] = {}

    @property
    def kv_capacity_tokens(self) -> int:
        """The KV cache's size, tokens; an engine that restarted may have another."""
        return self._kv_capacity_tokens

    @kv_capacity_tokens.setter
    def kv_capacity_tokens(self, tokens: int) -> None:
        self._kv_capacity_tokens = tokens
        self._changed()

    def __len__(self) -> int:
        return len(self._rows)

    def reserve(self, request_id: str, prompt_tokens: int, predicted_tokens: float) -> None:
        """Note a request that was accepted and whose prefill has not ended."""
        self._set(request_id, prompt_tokens, predicted_tokens, started=False)

    def start(self, request_id: str, prompt_tokens: int, predicted_tokens: float) -> None:
        """Add a request when its prefill ends: U[i] += (prompt + i) / M for i below the predicted length."""
        self._set(request_id, prompt_tokens, predicted_tokens, started=True)

    def progress(self, request_id: str, generated: int) -> None:
        """Move a request on to `generated` tokens; one that outlives its prediction is extended."""
        row = self._rows.get(request_id)
        if row is None:
            return
        offset = max(0, generated - 1)
        self._offset[row] = offset
        if offset >= self._length[row]:
            missing = offset + 1 - int(self._length[row])
            step = int(self._extension[row])
            self._length[row] += -(-missing // step) * step
        self._changed()

    def finish(self, request_id: str) -> None:
        """Take back whatever a request still held."""
        row = self._rows.pop(request_id, None)
        if row is None:
            return
        self._length[row] = 0
        self._offset[row] = 0
        self._started[row] = False
        self._free.append(row)
        self._changed()

    def projected(self, slots: int | None = None) -> Floats:
        """Return U[0:slots], the share of the KV cache in use in each coming iteration (read only)."""
        return self._keep("projected", lambda: self._sum(self._started))[:slots]

    def committed(self, slots: int | None = None) -> Floats:
        """Return `projected` as if everything reserved began decoding now."""
        if not self._any_reserved():
            return self.projected(slots)
        return self._keep("committed", lambda: self._sum(self._length > 0))[:slots]

    def decoding(self) -> Ramps:
        """Return the ramps that `projected` sums."""
        return self._keep_ramps("decoding", self._started)

    def everything(self) -> Ramps:
        """Return the ramps that `committed` sums."""
        return self._keep_ramps("committed", self._length > 0) if self._any_reserved() else self.decoding()

    def peak_with(self, prompt_tokens: int, slots: int) -> float:
        """Return the peak of `committed` over the next `slots`, and of one more that began to decode now."""
        return self.everything().peak_beside(prompt_tokens, slots, self.kv_capacity_tokens)

    def peak(self, slots: int | None = None) -> float:
        """Return the largest share of KV within the next `slots` iterations (default: all)."""
        return float(self.projected(slots).max())

    def overload(self) -> float:
        """Return the share of U[0:100] above 0.95."""
        return float((self.projected(OVERLOAD_SLOTS) > OVERLOAD_LEVEL).mean())

    @property
    def overloaded(self) -> bool:
        """Whether more than 10 % of U[0:100] exceed 0.95."""
        return self.overload() > OVERLOAD_SHARE

    def _set(self, request_id: str, prompt_tokens: int, predicted_tokens: float, *, started: bool) -> None:
        row = self._rows.get(request_id)
        if row is None:
            row = self._rows[request_id] = self._free.pop() if self._free else self._new_row()
        length = max(1, math.ceil(predicted_tokens))
        self._prompt[row] = prompt_tokens
        self._offset[row] = 0
        self._length[row] = length
        self._extension[row] = max(1, math.ceil(EXTENSION * length))
        self._started[row] = started
        self._changed()

    def _new_row(self) -> int:
        used = len(self._length)
        more = max(16, used)
        self._prompt = np.concatenate([self._prompt, np.zeros(more)])
        self._offset = np.concatenate([self._offset, np.zeros(more, dtype=np.int64)])
        self._length = np.concatenate([self._length, np.zeros(more, dtype=np.int64)])
        self._extension = np.concatenate([self._extension, np.zeros(more, dtype=np.int64)])
        self._started = np.concatenate([self._started, np.zeros(more, dtype=bool)])
        self._free.extend(range(used + more - 1, used, -1))
        return used

    def _any_reserved(self) -> bool:
        return len(self._rows) > int(np.count_nonzero(self._started))

    def _changed(self) -> None:
        self._kept.clear()
        self._ramps.clear()

    def _keep_ramps(self, name: str, rows: NDArray[np.bool_]) -> Ramps:
        kept = self._ramps.get(name)
        if kept is None:
            offset = self._offset[rows]
            left = np.minimum(self._length[rows] - offset, self.slots)
            kept = self._ramps[name] = Ramps(self._prompt[rows] + offset, left)
        return kept

    def _keep(self, name: str, compute: Callable[[], Floats]) -> Floats:
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = compute()
            kept.flags.writeable = False
        return kept

    def _alive(self, rows: NDArray[np.bool_]) -> Floats:
        """Count the ramps alive in each slot, up to the last one in which any is."""
        ends = np.minimum(self._length[rows] - self._offset[rows], self.slots)
        return (len(ends) - np.cumsum(np.bincount(ends))[:-1]).astype(float)

    def _sum(self, rows: NDArray[np.bool_]) -> Floats:
        """Sum the ramps: those alive at slot i hold what they hold now, and i tokens more each."""
        offset = self._offset[rows]
        now = self._prompt[rows] + offset
        ends = np.minimum(self._length[rows] - offset, self.slots)
        gone = np.cumsum(np.bincount(ends, weights=now))[:-1]
        held = now.sum() - gone + np.arange(len(gone)) * self._alive(rows)
        return self._over_all_slots(held / self.kv_capacity_tokens)

    def _over_all_slots(self, first: Floats) -> Floats:
        """Fill up with zeros: nothing is alive after the last ramp's end."""
        every = np.zeros(self.slots)
        every[: len(first)] = first
        return every
