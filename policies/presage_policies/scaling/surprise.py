"""What came that nobody had provided for: how far demand has risen above what was foreseen a lead time ago.

A pod takes a cold start to come, so whatever rises faster than that is met by pods that are there already,
or by nobody. How many to keep for it is learnt from the service's own past: the largest rise within a lead
time that has been seen lately. "Lately" follows from the objectives: a surprise that is not provided for
spoils about one lead time, so one in lead/(1 - percentile) seconds is as many as the objectives forgive.
Forecasts earn trust by making the surprises smaller. Ours.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

LONGEST_MEMORY_SECONDS = 21_600.0
FORGETTING = 0.95  # of the score of forecasts, an outcome
BEYOND_CHANCE = 3.0
NOTHING = 1e-9  # requests/s that floats make of equal rates
ENOUGH_OUTCOMES = 8  # before forecasts may be trusted


@dataclass(frozen=True, slots=True)
class Rise:
    """Demand above what was foreseen: requests/s, and as a share of what was foreseen."""

    at: float
    absolute: float
    relative: float

    def covers(self, other: "Rise") -> bool:
        """Tell whether this one is at least as large in both."""
        return self.absolute >= other.absolute and self.relative >= other.relative


@dataclass(frozen=True, slots=True)
class Rises:
    """The rises that no later one exceeds, oldest first, and one that is still going on.

    A rise is known the better the longer it lasts, so while one goes on its latest estimate counts, not
    its largest: the largest of many estimates is the luckiest.
    """

    kept: tuple[Rise, ...] = ()
    latest: Rise | None = None
    since: float = 0.0

    def noted(self, rise: Rise | None, now: float, lead: float, memory_seconds: float) -> "Rises":
        """Return the rises after a look that saw one, or None; those that are too old are forgotten.

        What goes on for longer than a lead time is several rises, one after another.
        """
        goes_on = rise is not None and self.latest is not None and now < self.since + lead
        done = None if goes_on else self.latest
        kept = tuple(
            r for r in self.kept if r.at > now - memory_seconds and (done is None or not done.covers(r))
        )
        return Rises(kept if done is None else (*kept, done), rise, self.since if goes_on else now)

    @property
    def largest(self) -> float:
        """The largest rise, requests/s."""
        return max((r.absolute for r in (*self.kept, *filter(None, (self.latest,)))), default=0.0)

    def expected(self, level: float) -> float:
        """Return by how much demand may rise from `level`: by no more than was seen, in either measure."""
        rises = self.kept if self.latest is None else (*self.kept, self.latest)
        if not rises:
            return 0.0
        return min(max(r.absolute for r in rises), level * max(r.relative for r in rises))


@dataclass(frozen=True, slots=True)
class Look:
    """What was known at a time, requests/s: the level, what was provided for `unaided`, and the forecast.

    `variance` is that of the level's estimate.
    """

    at: float
    level: float
    variance: float
    unaided: float
    foretold: float | None


@dataclass(frozen=True, slots=True)
class Surprises:
    """Looks of the last lead time, the rises above them, and how well forecasts did.

    `unaided` = rises above the level alone, `aided` = above the larger of level and forecast. `regret` =
    the forecasts' pinball loss less that of providing without them: below zero they are worth having.
    """

    looks: tuple[Look, ...] = ()
    unaided: Rises = Rises()
    aided: Rises = Rises()
    regret: float = 0.0
    outcomes: int = 0
    judged_at: float | None = None

    @property
    def trusts_forecasts(self) -> bool:
        """Whether forecasts have lately been the better provision."""
        return self.outcomes >= ENOUGH_OUTCOMES and self.regret < 0

    def reserve(self, level: float, *, aided: bool) -> float:
        """Return the requests/s above `level` to keep pods for."""
        return (self.aided if aided else self.unaided).expected(level)

    def seen(self, look: Look, lead: float, percentile: float) -> "Surprises":
        """Return the memory after comparing a look with what was foreseen for it, a lead time ago.

        What chance explains is no rise: it must exceed `BEYOND_CHANCE` standard errors of the difference.
        """
        memory = min(LONGEST_MEMORY_SECONDS, lead / max(1e-6, 1 - percentile / 100))
        due = _last(each for each in self.looks if each.at <= look.at - lead)
        if due is None:
            return self
        chance = BEYOND_CHANCE * math.sqrt(look.variance + due.variance)
        foretold = due.level if due.foretold is None else max(due.level, due.foretold)
        return replace(
            self,
            looks=tuple(each for each in self.looks if each.at >= due.at),
            unaided=self.unaided.noted(_rise(look, due.level, chance), look.at, lead, memory),
            aided=self.aided.noted(_rise(look, foretold, chance), look.at, lead, memory),
        )

    def judged(self, now: float, level: float, lead: float, quantile: float) -> "Surprises":
        """Return the memory after comparing the forecast for now, if one was made, with doing without."""
        due = _last(look for look in self.looks if look.at <= now - lead)
        recently = self.judged_at is not None and now < self.judged_at + lead
        if due is None or due.foretold is None or recently:
            return self
        loss = _pinball(level, max(due.level, due.foretold), quantile) - _pinball(
            level, due.unaided, quantile
        )
        regret = FORGETTING * self.regret + loss
        return replace(self, regret=regret, outcomes=self.outcomes + 1, judged_at=now)

    def looked(self, look: Look) -> "Surprises":
        """Return the memory with what is foreseen now."""
        return replace(self, looks=(*self.looks, look))


def _rise(look: Look, foreseen: float, chance: float) -> Rise | None:
    above = look.level - foreseen
    if above <= max(chance, NOTHING):
        return None
    return Rise(look.at, above, above / foreseen if foreseen > 0 else math.inf)


def _pinball(actual: float, provided: float, quantile: float) -> float:
    short = actual - provided
    return quantile * short if short > 0 else (quantile - 1) * short


def _last(looks: Iterable[Look]) -> Look | None:
    latest = None
    for look in looks:
        latest = look
    return latest
