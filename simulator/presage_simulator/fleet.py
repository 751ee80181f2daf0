"""A fleet of instances in the kernel, as Python handles it: pods that come and go, requests that come in."""

import numpy as np

from presage_simulator.kernel.loop import (
    LOG_FULL,
    RAMPS_NEEDED,
    SIGNALS,
    SLOTS_NEEDED,
    drain,
    run,
    scrape,
    serve,
)
from presage_simulator.kernel.state import ABSENT, COMING, EARLY, NONE, READY, Part, Records
from presage_simulator.kernel.world import make_world, with_more_instances, with_more_ramps, with_more_slots
from presage_simulator.systems import Pool, Routing
from presage_simulator.workload import Floats, Ints, PrefixBlocks, SLOClass, Workload


class Fleet:
    """One service's instances and fronts. Times are virtual seconds; instances are named by their number."""

    def __init__(
        self,
        pool: Pool,
        routing: Routing,
        classes: tuple[SLOClass, ...],
        prefix: PrefixBlocks | None,
        seed: int,
    ) -> None:
        self._world = make_world(pool.profile, routing, classes, max(1, pool.initial), prefix)
        self._rng = np.random.default_rng([seed, 0x52])
        self._created = 0
        self._fates: list[Records] = []
        for _ in range(pool.initial):
            self.serve(self.create(0.0), 0.0)

    @property
    def now(self) -> float:
        """Until when everything has happened."""
        return float(self._world.front[0]["now"])

    @property
    def inside(self) -> int:
        """Requests in engines and waiting."""
        return int(self._world.front[0]["open"])

    @property
    def waiting(self) -> int:
        """Requests that wait: at fronts, or, bound early, in the queues of engines (vLLM counts those)."""
        at_fronts = int(self._world.front[0]["waiting"])
        if self._world.setting[0]["binding"] != EARLY:
            return at_fronts
        return at_fronts + int(self._instances["waiting"][self._instances["state"] != ABSENT].sum())

    @property
    def messages(self) -> int:
        """Bids asked, and guards told that a request waits."""
        return int(self._world.front[0]["messages"])

    @property
    def preemptions(self) -> int:
        """How often an engine took a running request's KV away."""
        return int(self._world.front[0]["preemptions"])

    @property
    def kv_use(self) -> tuple[float, float]:
        """Mean over time of KV use, and of its coefficient of variation between ready instances."""
        front = self._world.front[0]
        samples = max(1, int(front["samples"]))
        return float(front["kv_use"]) / samples, float(front["imbalance"]) / samples

    def current(self) -> Ints:
        """Return the numbers of instances that are asked for: ready or coming."""
        states = self._instances["state"]
        return np.sort(self._instances["number"][(states == COMING) | (states == READY)]).astype(np.int32)

    def ready(self) -> Ints:
        """Return the numbers of instances that serve."""
        return np.sort(self._instances["number"][self._instances["state"] == READY]).astype(np.int32)

    def create(self, now: float) -> int:
        """Create an instance that is not ready yet; return its number."""
        places = np.flatnonzero(self._instances["state"] == ABSENT)
        if len(places) == 0:
            self._world = with_more_instances(self._world)
            return self.create(now)
        place = places[0]
        fresh = np.zeros(1, self._instances.dtype)
        for name in ("first", "last", "oldest", "newest"):
            fresh[name] = NONE
        self._instances[place] = fresh[0]
        self._instances[place]["number"] = number = self._created
        self._instances[place]["state"] = COMING
        self._instances[place]["created"] = now
        if self._world.setting[0]["prefix_tokens"]:
            self._world.prefixes.users[place] = NONE
            self._world.prefixes.owner[self._world.prefixes.owner == place] = NONE
        self._created += 1
        return number

    def serve(self, number: int, now: float) -> None:
        """Let an instance serve from now on; one that was given up meanwhile stays away."""
        place = np.flatnonzero((self._instances["number"] == number) & (self._instances["state"] == COMING))
        if len(place):
            serve(self._world, int(place[0]), now, self._rng)

    def drain(self, number: int, now: float) -> None:
        """Give an instance nothing new; it is gone when its last request has ended."""
        place = np.flatnonzero((self._instances["number"] == number) & (self._instances["state"] != ABSENT))
        drain(self._world, int(place[0]), now)

    def admit(
        self, workload: Workload, first: int, last: int, base: int, predicted: Floats, *, foresee: bool
    ) -> None:
        """Let requests `first` to `last` (exclusive) of a workload arrive next; it begins at index `base`."""
        self._world = self._world._replace(
            part=Part(
                workload.at[first:last],
                workload.prompt_tokens[first:last],
                workload.output_tokens[first:last],
                predicted,
                workload.klass[first:last],
                np.full((last - first if foresee else 0, 2), np.nan),
            )
        )
        self._world.front[0]["base"] = base + first

    def close(self) -> None:
        """Nothing arrives any more after what was admitted."""
        self._world.front[0]["last"] = True

    def run(self, until: float) -> None:
        """Let everything happen up to `until`; once closed, until the last request has its fate."""
        while (why := run(self._world, until, self._rng)) != 0:
            if why == LOG_FULL:
                self._empty_log()
            elif why == SLOTS_NEEDED:
                self._world = with_more_slots(self._world)
            elif why == RAMPS_NEEDED:
                self._world = with_more_ramps(self._world)

    def fates(self) -> Records:
        """Return the fates of requests since the last call, in the order in which they ended."""
        self._empty_log()
        fates = np.concatenate(self._fates)
        self._fates.clear()
        return fates

    def foreseen(self) -> Floats:
        """Return TTFT and TPOT (s) that bids promised to each request of the part; NaN = none yet."""
        return self._world.part.foreseen

    def first_tokens(self) -> tuple[Floats, Floats]:
        """Return when requests inside that have their first token arrived, and when it came (s)."""
        requests = self._world.requests
        inside = np.ones(len(requests), dtype=bool)
        inside[self._world.free[: self._world.front[0]["free"]]] = False
        inside &= requests["started"]
        return requests["arrived"][inside], requests["first"][inside]

    def scrape(self, now: float) -> tuple[Ints, Floats]:
        """Return the numbers of instances that are there, and their metrics, shape [instances, SIGNALS]."""
        signals = np.zeros((len(self._instances), len(SIGNALS)))
        scrape(self._world, now, signals)
        states = self._instances["state"]
        there = np.flatnonzero((states == COMING) | (states == READY))
        there = there[np.argsort(self._instances["number"][there])]
        return self._instances["number"][there].astype(np.int32), signals[there]

    def replica_seconds(self, now: float) -> float:
        """Return the seconds from creation to removal (or now), summed over instances."""
        alive = self._instances[self._instances["state"] != ABSENT]
        return float(self._world.front[0]["replica_seconds"] + (now - alive["created"]).sum())

    @property
    def _instances(self) -> Records:
        return self._world.live.instances

    def _empty_log(self) -> None:
        front = self._world.front[0]
        self._fates.append(self._world.fates[: front["ended"]].copy())
        front["ended"] = 0
