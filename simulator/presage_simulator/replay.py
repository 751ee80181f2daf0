"""Replaying arrivals through instances in virtual time: a front, guards that bid, pods that come and go.

The slow reference: every iteration is an event, policies are any Python objects. `simulation` does the same
a thousand times faster with the policies that it knows, and a test holds the two together.

True lengths are sealed: engines are handed theirs, predictors are told what came out, and every other use
of one ends the replay with an OracleBoundaryError.

Discrete events in a heap. At equal times iterations end first, in order of instances, then waits expire,
then everything else in the order in which it was made, so a replay is the same to the byte.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
from presage_policies.engine import EngineProfile, EngineRequest
from presage_policies.lengths import LengthPredictor, RequestFeatures
from presage_policies.objectives import Objectives
from presage_policies.queueing import FCFS, Order, Waiting, WaitingRoom
from presage_policies.routing import Candidate, Pick, PickState

from presage_simulator.arrivals import Arrival, ordered
from presage_simulator.autoscaler import Autoscaler, Scaling
from presage_simulator.instance import Instance
from presage_simulator.outcome import Outcome, Replicas, Served
from presage_simulator.sealed import Sealed, Seals

MOST_INSTANCES = 1 << 30
EXPIRY, OTHERS = 0, 1  # who comes first at equal times: ends of iterations, by instance, have ranks below


@dataclass(frozen=True, slots=True)
class Scenario:
    """One service: its engines, its policies and its bounds (seconds). `scaling` None = fixed instances.

    `binding` late: what finds no room waits and is bound when an instance gains room; early: everything is
    handed to the chosen engine at once and waits in its queue.
    """

    profile: EngineProfile
    objectives: Objectives
    pick: Pick
    predictor: LengthPredictor
    instances: int = 1
    order: Order = field(default_factory=FCFS)
    max_waiting: int = 256
    max_wait_seconds: float = 60.0
    cold_start_seconds: float = 60.0
    scaling: Scaling | None = None
    binding: Literal["late", "early"] = "late"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.instances < 1:
            raise ValueError(f"instances is {self.instances}: begin with at least 1")


@dataclass(slots=True, eq=False)
class Request:
    """One request of the replay, its true length under seal, and what has become of it so far."""

    arrival: float
    features: RequestFeatures
    output_tokens: Sealed = field(repr=False)
    instance: str | None = None
    first_token: float | None = None
    finished: float | None = None


class Replay:
    """Drives one scenario through one list of arrivals, once."""

    def __init__(
        self, scenario: Scenario, arrivals: Sequence[Arrival], rng: np.random.Generator | None = None
    ) -> None:
        self.scenario = scenario
        self.now = 0.0
        self._seals = Seals()
        self._requests = {f"r{i}": self._sealed(f"r{i}", a) for i, a in enumerate(ordered(arrivals))}
        self._rng = np.random.default_rng(scenario.seed) if rng is None else rng
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._made = 0
        self._open = len(self._requests)
        self._room = WaitingRoom(scenario.order, scenario.max_waiting, scenario.max_wait_seconds)
        self._instances: dict[str, Instance] = {}
        self._created = 0
        self._replicas: list[Replicas] = []
        self._replica_seconds = 0.0
        self._preemptions = 0
        self._scaler = _autoscaler(scenario)

    def run(self) -> Outcome:
        """Replay to the end: until every request has finished or was turned away."""
        for _ in range(self.scenario.instances):
            self._make_ready(self._create())
        self._note("Start")
        for request_id, request in self._requests.items():
            self._at(request.arrival, partial(self._arrive, request_id))
        if self._scaler is not None:
            self._at(0.0, self._tick)
        while self._open > 0:
            self.now, _, _, act = heapq.heappop(self._events)
            act()
        for instance in list(self._instances.values()):
            self._remove(instance)
        return Outcome(
            tuple(self._served()),
            tuple(self._replicas),
            self._replica_seconds,
            self._preemptions,
            self.now,
        )

    def _at(self, time: float, act: Callable[[], None], rank: int = OTHERS) -> None:
        if time < self.now:
            raise RuntimeError(f"an event at {time} was made at {self.now}: nothing acts on its past")
        heapq.heappush(self._events, (time, rank, self._made, act))
        self._made += 1

    # requests

    def _sealed(self, request_id: str, arrival: Arrival) -> Request:
        features = RequestFeatures(arrival.client, self.scenario.profile.name, arrival.prompt_tokens, None)
        length = self._seals.seal(arrival.output_tokens, f"the true length of {request_id}")
        return Request(arrival.at, features, length)

    def _served(self) -> Iterator[Served]:
        """Yield every fate, with the true length: nothing is left to decide."""
        for request_id, request in self._requests.items():
            yield Served(
                request_id,
                request.arrival,
                request.features.prompt_tokens,
                self._seals.open(request.output_tokens),
                request.instance,
                request.first_token,
                request.finished,
            )

    def _arrive(self, request_id: str) -> None:
        request = self._requests[request_id]
        features = request.features
        length = self.scenario.predictor.predict(features)
        if self._scaler is not None:
            self._scaler.demand.count(self.now, features.prompt_tokens, length.mean)
        waiting = Waiting(
            request_id,
            request.arrival,
            features.prompt_tokens,
            length,
            self.scenario.objectives,
            features.client,
        )
        if len(self._room) > 0 or not self._bind(waiting):
            self._wait(waiting)

    def _wait(self, waiting: Waiting) -> None:
        if self._room.admit(waiting):
            self._at(self.now + self.scenario.max_wait_seconds, self._expire, EXPIRY)
            for instance in list(self._instances.values()):  # the front tells everyone that someone waits
                self._pull(instance)
                self._begin(instance)
        else:
            self._open -= 1

    def _expire(self) -> None:
        self._open -= len(self._room.expire(self.now))

    def _bind(self, waiting: Waiting) -> bool:
        """Ask a few instances for bids and hand the request to the winner; False when none has room."""
        peers = [i.name for i in self._instances.values() if i.ready and not i.draining]
        asked = self.scenario.pick.sample(peers, None, None, self._rng)
        candidate = Candidate(waiting.prompt_tokens, waiting.length, waiting.objectives)
        bids = {name: self._instances[name].bid(candidate) for name in asked}
        if self.scenario.binding == "early":
            bids = {name: replace(bid, room=True) for name, bid in bids.items()}
        if not any(bid.room for bid in bids.values()):
            return False
        instance = self._instances[self.scenario.pick.choose(bids, PickState())]
        self._hand_over(waiting, instance)
        self._begin(instance)
        return True

    def _hand_over(self, waiting: Waiting, instance: Instance) -> None:
        request = self._requests[waiting.request_id]
        request.instance = instance.name
        output_tokens = self._seals.open(request.output_tokens)
        whole = EngineRequest(waiting.request_id, waiting.arrived, waiting.prompt_tokens, output_tokens)
        try:
            instance.accept(whole, waiting.length)
        except ValueError:  # the engine refuses what could never fit its KV cache
            self._open -= 1

    def _pull(self, instance: Instance) -> None:
        """Let an instance that gained room take what waits, in order, while it has room for the next."""
        while (head := self._room.head(self.now)) is not None and self._fits(instance, head):
            for waiting in self._room.take(1, self.now):
                if self.scenario.binding == "early":
                    self._bind(waiting)
                else:
                    self._hand_over(waiting, instance)

    def _fits(self, instance: Instance, waiting: Waiting) -> bool:
        if self.scenario.binding == "early":
            return instance.ready and not instance.draining
        return instance.bid(Candidate(waiting.prompt_tokens, waiting.length, waiting.objectives)).room

    def _begin(self, instance: Instance) -> None:
        iteration = instance.begin(self.now)
        if iteration is not None:
            self._at(
                self.now + iteration.seconds,
                partial(self._complete, instance),
                instance.number - MOST_INSTANCES,
            )

    def _complete(self, instance: Instance) -> None:
        result = instance.complete()
        for request_id in result.first_tokens:
            self._requests[request_id].first_token = self.now
        came_out = dict(result.tokens)
        for request_id in result.finished:
            request = self._requests[request_id]
            request.finished = self.now
            self.scenario.predictor.observe(request.features, came_out[request_id])
            self._open -= 1
        if instance.draining and instance.requests == 0:
            self._remove(instance)
            return
        self._pull(instance)
        self._begin(instance)

    # pods

    def _create(self) -> Instance:
        instance = Instance(
            f"pod-{self._created:04d}",
            self.scenario.profile,
            self.now,
            number=self._created,
            shows_queue=self.scenario.binding == "early",
        )
        self._created += 1
        self._instances[instance.name] = instance
        return instance

    def _make_ready(self, instance: Instance) -> None:
        if instance.name in self._instances:
            instance.ready = True
            self._note("Ready")
            self._pull(instance)
            self._begin(instance)

    def _remove(self, instance: Instance) -> None:
        self._replica_seconds += self.now - instance.created_at
        self._preemptions += instance.batch.preemptions
        del self._instances[instance.name]

    def _current(self) -> list[Instance]:
        return [i for i in self._instances.values() if not i.draining]

    def _tick(self) -> None:
        assert self._scaler is not None
        interval = self._scaler.scaling.interval_seconds
        current = self._current()
        signals = tuple(instance.signal(interval) for instance in current)
        decision = self._scaler.decide(self.now, len(current), signals, len(self._room))
        for _ in range(decision.replicas - len(current)):
            self._at(self.now + self.scenario.cold_start_seconds, partial(self._make_ready, self._create()))
        for instance in self._leaving(current, len(current) - decision.replicas):
            self._drain(instance)
        if decision.replicas != len(current):
            self._note(decision.code)
        self._at(self.now + interval, self._tick)

    def _leaving(self, current: list[Instance], count: int) -> list[Instance]:
        """Choose as Kubernetes does without a hint: not ready first, then the youngest."""
        return sorted(current, key=lambda i: (i.ready, -i.created_at, i.name))[: max(0, count)]

    def _drain(self, instance: Instance) -> None:
        instance.draining = True
        if instance.requests == 0:
            self._remove(instance)

    def _note(self, code: str) -> None:
        current = self._current()
        self._replicas.append(Replicas(self.now, len(current), sum(i.ready for i in current), code))


def _autoscaler(scenario: Scenario) -> Autoscaler | None:
    if scenario.scaling is None:
        return None
    return Autoscaler(scenario.scaling, scenario.profile, scenario.objectives, scenario.cold_start_seconds)
