"""Scores as tables: one line a series, model and horizon, and means over series."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from presage_predictors.backtest.scores import Score

PINBALL_CONTROLS = ("LastValueConformal", "LastValue")


def lines(scores: Sequence[Score]) -> Iterator[str]:
    """Yield a line for each score, under one head."""
    yield (
        f"{'series':<44} {'window':>6} {'ahead':>5} {'model':<18} {'n':>5} {'MAPE':>7} {'WAPE':>7} "
        f"{'RMSE':>7} {'pinball':>8} {'cover90':>7} {'skill':>7}"
    )
    for one in scores:
        yield (
            f"{one.series + '/' + one.column:<44.44} {one.window_seconds:>6.0f} {one.horizon:>5} "
            f"{one.model:<18} {one.windows:>5} {_percent(one.mape)} {_percent(one.wape)} "
            f"{_percent(one.rmse_over_mean)} {_percent(one.pinball):>8} {_percent(one.coverage90)} "
            f"{_percent(one.skill_vs_best_control)}"
        )


def means(scores: Iterable[Score]) -> Iterator[str]:
    """Yield means over series, by window, horizon and model."""
    groups: dict[tuple[float, int, str], list[Score]] = defaultdict(list)
    for one in scores:
        groups[one.window_seconds, one.horizon, one.model].append(one)
    yield (
        f"{'window':>6} {'ahead':>5} {'model':<18} {'series':>6} {'WAPE':>7} {'skill':>7} {'worst':>7} "
        f"{'cover90':>7} {'pinball less than last value':>28}"
    )
    for (window, horizon, model), found in sorted(groups.items()):
        skills = _known(one.skill_vs_best_control for one in found)
        gains = [
            _pinball_gains(found, groups.get((window, horizon, control), [])) for control in PINBALL_CONTROLS
        ]
        gained = " / ".join(_percent(_mean(gain)) for gain in gains)
        yield (
            f"{window:>6.0f} {horizon:>5} {model:<18} {len(found):>6} "
            f"{_percent(_mean(_known(one.wape for one in found)))} {_percent(_mean(skills))} "
            f"{_percent(min(skills, default=None))} {_percent(_mean([one.coverage90 for one in found]))} "
            f"{gained:>28}"
        )


def _pinball_gains(found: Sequence[Score], controls: Sequence[Score]) -> list[float]:
    """Return by which share each series' pinball loss is below that of a control."""
    base = {(one.series, one.column): one.pinball for one in controls}
    gains = []
    for one in found:
        other = base.get((one.series, one.column))
        if one.pinball is not None and other:
            gains.append(1 - one.pinball / other)
    return gains


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _percent(share: float | None) -> str:
    return f"{'-':>7}" if share is None else f"{100 * share:>6.2f}%"
