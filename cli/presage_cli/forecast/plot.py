"""Draws a series and what was forecast of it, as a vector graphic."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from presage_predictors.backtest.models import Rolling, ask
from presage_predictors.backtest.scores import Task
from presage_predictors.controls.statistical import LEVELS

HOUR = 3600.0
BAND = (0.05, 0.95)


def draw(task: Task, model: Rolling, steps: int, path: Path) -> None:
    """Draw the scored windows, the median `steps` windows ahead, its 90 % band and its 90 % quantile."""
    stated = ask(model, task)[:, :, list(task.ahead).index(steps)]
    windows = np.arange(task.first + steps - 1, len(task.values))
    hours = windows * task.window_seconds / HOUR
    made = stated[: len(windows)]
    low, middle, upper, high = (made[:, LEVELS.index(level)] for level in (BAND[0], 0.5, 0.9, BAND[1]))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(hours, low, high, color="#4477aa", alpha=0.2, linewidth=0, label="5 % to 95 %")
    axes.plot(hours, upper, color="#4477aa", linewidth=0.8, linestyle="--", label="90 % quantile")
    axes.plot(hours, middle, color="#4477aa", linewidth=1.2, label=f"{model.name}, median")
    axes.plot(hours, task.values[windows], color="#222222", linewidth=1.0, label="what came")
    axes.set_xlabel("hours from the beginning of the recording")
    axes.set_ylabel("per second")
    axes.set_ylim(bottom=0)
    ahead = steps * task.window_seconds / 60
    axes.set_title(f"{task.series}, {task.column}: forecast {ahead:g} minutes ahead", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, ncols=4)
    figure.savefig(path)
