"""The kernel's state: arrays of records, of fixed layout, that grow by being copied into larger ones.

Every list (an engine's queue, the waiting room) is threaded through the requests themselves, so that
nothing but the arrays is ever allocated.
"""

from collections import namedtuple
from dataclasses import astuple, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from presage_policies.engine import EngineProfile, IterationCoefficients

from presage_simulator.workload import Floats, Ints, Longs

Records = NDArray[np.void]
NONE = -1  # the end of a list, or nobody's place
ABSENT, COMING, READY, DRAINING = 0, 1, 2, 3  # of an instance
LATE, EARLY = 0, 1  # binding

REQUEST = np.dtype(
    [
        ("index", np.int64),  # in the workload
        ("arrived", np.float64),
        ("prompt", np.int64),
        ("output", np.int64),  # the engine's secret
        ("predicted", np.float64),  # mean output tokens
        ("klass", np.int64),
        ("instance", np.int64),
        ("key", np.float64),  # of the order, while it lasts
        ("lapses", np.float64),  # when the key changes to
        ("lapsed_key", np.float64),
        ("lapsed", np.bool_),
        ("priority", np.float64),  # in the engine's queue, lower first
        ("added", np.int64),  # order of adding to an engine: the last tie-break
        ("computed", np.int64),  # tokens whose KV is held
        ("generated", np.int64),
        ("blocks", np.int64),
        ("tokens", np.int64),  # in flight
        ("work", np.int64),  # prompt tokens to be computed, as the guard expected when it accepted
        ("hits", np.int64),  # prefix blocks held in the instance's prefix cache
        ("extension", np.int64),  # of a response that outlives its prediction
        ("started", np.bool_),  # has its first token
        ("bound", np.float64),
        ("first", np.float64),
        ("preempted", np.int64),
        ("next", np.int64),  # in an engine's queue or the waiting room
        ("previous", np.int64),
        ("later", np.int64),  # in the waiting room, by arrival
        ("earlier", np.int64),
    ],
    align=True,
)
INSTANCE = np.dtype(
    [
        ("number", np.int64),  # of all ever created
        ("state", np.int64),
        ("created", np.float64),
        # the engine
        ("running", np.int64),
        ("waiting", np.int64),
        ("waiting_tokens", np.int64),
        ("first", np.int64),  # of its queue
        ("last", np.int64),
        ("used", np.int64),  # KV blocks
        ("busy", np.bool_),
        ("leaping", np.bool_),  # every running sequence decodes in this leap
        ("planned", np.int64),  # iterations of this leap
        ("began", np.float64),
        ("seconds", np.float64),  # of its first iteration
        ("growth", np.float64),  # of each after the one before
        ("steps", np.int64),  # iterations before this leap
        # the guard
        ("requests", np.int64),
        ("ramps", np.int64),  # of requests that have started
        ("kept", np.int64),  # of those that have not
        ("prefilling", np.int64),
        ("kv_tokens", np.int64),
        ("token_load", np.float64),
        # the prefix cache: ids that nobody uses, least recently used first
        ("cached", np.int64),
        ("oldest", np.int64),
        ("newest", np.int64),
        # counters since creation
        ("prompt_served", np.int64),
        ("output_served", np.int64),
        ("finished", np.int64),
        ("met", np.int64),
    ],
    align=True,
)
SETTING = np.dtype(
    [
        ("policy", np.int64),
        ("bids", np.int64),
        ("binding", np.int64),
        ("order", np.int64),
        ("late_turn", np.int64),
        ("age", np.float64),
        ("max_waiting", np.int64),
        ("max_wait", np.float64),
        ("sample", np.float64),  # seconds between samples of KV use
        ("prefix_tokens", np.int64),  # of a prefix block; 0 = no prefixes
    ],
    align=True,
)
FRONT = np.dtype(
    [
        ("now", np.float64),
        ("next", np.int64),  # arrival of the present part
        ("base", np.int64),  # index of the part's first request
        ("ready", np.int64),
        ("last", np.bool_),  # nothing arrives after this part
        ("free", np.int64),  # slots
        ("added", np.int64),
        ("turn", np.int64),
        ("waiting", np.int64),
        ("head", np.int64),  # of the waiting room, by key
        ("tail", np.int64),
        ("lapsed_head", np.int64),  # and of those whose key has changed
        ("lapsed_tail", np.int64),
        ("oldest", np.int64),  # by arrival
        ("newest", np.int64),
        ("taken", np.int64),  # from the waiting room, ever
        ("checked", np.int64),  # the head for which every instance was looked at
        ("snapshot", np.float64),  # when the next is made
        ("sampled", np.float64),
        ("samples", np.int64),
        ("kv_use", np.float64),  # sums over samples
        ("imbalance", np.float64),
        ("messages", np.int64),
        ("preemptions", np.int64),
        ("ended", np.int64),  # entries of the log
        ("open", np.int64),  # requests inside
        ("crowd", np.int64),  # the most requests that any instance ever had
        ("replica_seconds", np.float64),  # of instances that are gone
    ],
    align=True,
)
FATE = np.dtype(
    [
        ("index", np.int64),
        ("arrived", np.float64),
        ("output", np.int64),
        ("bound", np.float64),
        ("first", np.float64),
        ("finished", np.float64),
        ("instance", np.int64),
        ("preempted", np.int64),
    ],
    align=True,
)
BID = np.dtype(
    [
        ("cost_seconds", np.float64),
        ("ttft_seconds", np.float64),
        ("tpot_seconds", np.float64),
        ("room", np.bool_),
        ("requests", np.int64),
        ("token_load", np.float64),
        ("cached_tokens", np.int64),
        ("waiting", np.int64),
        ("kv_usage", np.float64),
        ("waiting_kv", np.float64),
    ],
    align=True,
)


Coefficients: Any = namedtuple(  # type: ignore[misc]  # noqa: PYI024 - the twin of a dataclass
    "Coefficients", [one.name for one in fields(IterationCoefficients)]
)


class Engine(NamedTuple):
    """The numbers of an EngineProfile, by the same names, so that the policies' functions read them."""

    coefficients: Any
    kv_capacity_tokens: int
    block_tokens: int
    max_sequences: int
    token_budget: int

    @classmethod
    def of(cls, profile: EngineProfile) -> "Engine":
        """Return a profile's numbers."""
        return cls(
            Coefficients(*(float(value) for value in astuple(profile.coefficients))),
            profile.kv_capacity_tokens,
            profile.block_tokens,
            profile.max_sequences,
            profile.token_budget,
        )


class Guards(NamedTuple):
    """What guards know: live, or as it was at the last snapshot.

    Ramps stand by their end. `ends` and `bases` are relative to the instance's step counter: a ramp at step
    s holds bases + s tokens and has ends - s iterations left, so that decoding changes neither.
    """

    instances: Records  # shape [instances]
    slots: Longs  # shape [instances, ramps]
    ends: Longs
    bases: Longs
    kept: Longs  # slots of accepted requests without a first token, shortest predicted first
    kept_lengths: Longs
    kept_prompts: Longs


class Part(NamedTuple):
    """Requests that arrive next."""

    at: Floats
    prompt: Ints
    output: Ints
    predicted: Floats
    klass: NDArray[np.int16]
    foreseen: Floats  # shape [requests, 2]: TTFT and TPOT as the chosen bid said, s


class Prefixes(NamedTuple):
    """Prefix blocks of all requests of the workload, and who has them."""

    ids: Longs
    offsets: Longs
    owner: Longs  # shape [ids]: instance that a front sent it to last
    users: Ints  # shape [instances, ids]: running requests that hold it; NONE = not there
    older: Ints  # shape [instances, ids]: the list of ids that nobody uses
    newer: Ints


class Scratch(NamedTuple):
    """Room for what one decision needs."""

    asked: Longs
    bids: Records
    now: Floats
    left: Floats
    ends: Floats
    behind: Floats
    offsets: Longs


class World(NamedTuple):
    """Everything."""

    profile: Engine
    objectives: Floats  # shape [classes, 3]: TTFT, TPOT, deadline, s
    setting: Records
    front: Records
    requests: Records
    free: Longs  # stack of unused slots
    live: Guards
    seen: Guards  # the snapshot
    running: Longs  # shape [instances, max_sequences], in order of admission
    ready: Longs  # instances that serve, by index
    due: Floats  # shape [instances]: when the leap ends, inf = idle
    heap: Longs
    place: Longs  # in the heap
    part: Part
    prefixes: Prefixes
    fates: Records
    scratch: Scratch
