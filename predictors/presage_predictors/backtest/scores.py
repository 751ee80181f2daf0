"""How far off forecasts were: point errors, pinball loss, coverage, and skill against the best control."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls.statistical import LEVELS

Floats = NDArray[np.float64]

CONTROLS = ("LastValue", "LastValueConformal", "SeasonalLevel", "HoltWinters")
HIGH = 0.9  # the quantile that capacity is bought for
READ = [LEVELS.index(0.5), LEVELS.index(HIGH)]  # the quantiles that scores need
LEAST_SCORED = 8  # fewer windows say nothing


@dataclass(frozen=True, slots=True)
class Score:
    """One model at one horizon of one series. Errors are shares: 0.05 is 5 %.

    `horizon` counts windows (1 = the coming one). `pinball` is the loss of the 90 % quantile as a share of
    the mean rate, `coverage90` the share of windows at or below it. `skill_vs_best_control` is the share by
    which the WAPE is below that of the best control, chosen in hindsight. None = undefined.
    """

    series: str
    column: str
    window_seconds: float
    model: str
    horizon: int
    windows: int
    mape: float | None
    wape: float | None
    rmse_over_mean: float | None
    pinball: float | None
    coverage90: float
    skill_vs_best_control: float | None = None

    def as_row(self) -> dict[str, str | float | int | None]:
        """Return the row of a report."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is scored: the rates, which windows of them, and how far ahead.

    Window `first` is the first that is scored; the forecasts of its steps begin with origin `first`.
    """

    series: str
    column: str
    window_seconds: float
    values: Floats
    first: int
    ahead: NDArray[np.int64]

    @property
    def usable(self) -> list[int]:
        """Columns of `ahead` for which enough windows can be scored."""
        left = len(self.values) - self.first
        return [column for column, steps in enumerate(self.ahead) if left - int(steps) + 1 >= LEAST_SCORED]


def score(task: Task, model: str, stated: Floats) -> list[Score]:
    """Score quantiles [origins, levels, ahead] stated at the origins first..len(values).

    Every model is scored on the windows that are present; one that states nothing for one of them has no row.
    """
    rows = []
    for column in task.usable:
        steps = int(task.ahead[column])
        actual = task.values[task.first + steps - 1 :]
        made = stated[: len(actual), READ, column]
        present = np.isfinite(actual)
        if present.sum() < LEAST_SCORED or not np.isfinite(made[present]).all():
            continue
        rows.append(_scored(task, model, steps, actual[present], made[present]))
    return rows


def _scored(task: Task, model: str, steps: int, actual: Floats, made: Floats) -> Score:
    median, high = made.T
    error = actual - median
    over = actual - high
    mean = float(actual.mean())
    busy = actual > 0
    return Score(
        series=task.series,
        column=task.column,
        window_seconds=task.window_seconds,
        model=model,
        horizon=steps,
        windows=len(actual),
        mape=_share(float(np.abs(error[busy] / actual[busy]).sum()), float(busy.sum())),
        wape=_share(float(np.abs(error).mean()), mean),
        rmse_over_mean=_share(float(np.sqrt((error**2).mean())), mean),
        pinball=_share(float(np.maximum(HIGH * over, (HIGH - 1) * over).mean()), mean),
        coverage90=float((actual <= high).mean()),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def with_skill(scores: Sequence[Score], controls: Sequence[str] = CONTROLS) -> list[Score]:
    """Return the scores of one series with their skill against its best control at each horizon."""
    best: dict[int, float] = {}
    for one in scores:
        if one.model in controls and one.wape is not None:
            best[one.horizon] = min(one.wape, best.get(one.horizon, float("inf")))
    return [_with(one, best.get(one.horizon)) for one in scores]


def _with(one: Score, best: float | None) -> Score:
    if best is None or one.wape is None or best <= 0:
        return one
    values: Mapping[str, object] = asdict(one) | {"skill_vs_best_control": 1 - one.wape / best}
    return Score(**values)  # type: ignore[arg-type]  # the same fields as before
