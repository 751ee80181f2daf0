"""Everything that the compiled scheduler works on: a few arrays of records, cheap to hand on.

Requests are numbered by arrival, classes and replicas by place; tokens are whole, times are seconds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

REQUEST = np.dtype(
    [
        ("at", np.float64),
        ("prompt", np.int32),
        ("output", np.int32),  # the engine's secret: read in `engine.py` alone
        ("klass", np.int32),
        ("home", np.int32),  # its replica; -1 = the one of its group with the least queued prefill
        ("due", np.float64),  # its first token, as set on arrival
        ("decode", np.float64),  # output tokens expected of it, 0 when interactive
        ("computed", np.int32),  # tokens whose KV is held
        ("generated", np.int32),
        ("blocks", np.int32),
        ("share", np.int32),  # tokens in the iteration in flight
        ("relegated", np.bool_),
        ("late", np.bool_),  # some token after the first was
        ("preempted", np.int32),
        ("first", np.float64),
        ("finished", np.float64),
    ],
    align=True,
)
CLASS = np.dtype(
    [
        ("deadline", np.float64),  # seconds to the first token, or to the last one of a batch class
        ("pace", np.float64),  # seconds between tokens
        ("batch", np.bool_),
        ("first", np.int32),  # replicas that serve it: first to last, exclusive
        ("last", np.int32),
        ("finished", np.float64),  # requests, their mean output tokens and summed squared deviations
        ("mean", np.float64),
        ("squares", np.float64),
    ],
    align=True,
)
REPLICA = np.dtype(
    [
        ("order", np.int32),
        ("budget", np.int32),  # the most tokens of an iteration
        ("dynamic", np.bool_),
        ("relegates", np.bool_),
        ("ends", np.float64),  # of its iteration; infinite when idle
        ("used", np.int64),  # KV blocks
        ("peak", np.int64),
        ("runs", np.int32),  # requests that hold KV
        ("queues", np.int32),  # requests whose prompt is not computed
        ("queued_tokens", np.int64),  # of those prompts, not yet scheduled
        ("rate", np.float64),  # prefill tokens a second, as learned
        ("loaded", np.bool_),
        ("iterations", np.int64),
        ("busy", np.float64),  # seconds
    ],
    align=True,
)
SETTING = np.dtype(
    [
        ("split_tokens", np.int64),  # of the time model
        ("blocks", np.int64),  # of one engine's KV cache
        ("block_tokens", np.int64),
        ("max_sequences", np.int64),
        ("margin", np.float64),  # on predicted times, for dynamic chunks
        ("alpha_idle", np.float64),
        ("alpha_loaded", np.float64),
        ("loaded_seconds", np.float64),  # of queued prefill, beyond which an engine is loaded
    ],
    align=True,
)


class World(NamedTuple):
    """All of it. A replica's running requests are in order of admission, its queue is a heap by key."""

    requests: Records
    keys: Floats  # shape [requests]
    classes: Records
    replicas: Records
    running: Ints  # shape [replicas, sequences]
    queue: Ints  # shape [replicas, requests]
    table: Floats  # shape [2, 8]: see `stratified_seconds`
    sizes: Ints  # that dynamic chunks are chosen from
    setting: Records  # shape [1]
