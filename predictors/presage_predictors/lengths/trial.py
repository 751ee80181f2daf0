"""A trial of a predictor on pairs: what is observed first, what is scored, by which groups.

Online learning is tried as a sidecar would meet it: of each group (each model, or each source) some requests
are served and their lengths observed; the rest is predicted with nothing more learnt. (Ours.)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import LengthPredictor, RequestFeatures

from presage_predictors.lengths.evaluation import Predicted, figures, microseconds, predicted
from presage_predictors.lengths.pairs import Pairs

TIMED = 2000  # requests whose predictions are timed

Rows = NDArray[np.int64]
Columns = Mapping[str, NDArray[np.str_]]  # [requests] each


@dataclass(frozen=True)
class Trial:
    """Rows to observe, in order, and rows to score."""

    observed: Rows
    scored: Rows


def split_by_group(groups: NDArray[np.str_], observe: int, *, mixed: bool, seed: int) -> Trial:
    """Return the trial that observes `observe` rows of each group, the first in the file or mixed."""
    rows = np.arange(len(groups))
    if mixed:
        rows = np.random.default_rng(seed).permutation(rows)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    ordered = groups[rows]
    begins = np.searchsorted(ordered, ordered, side="left")
    first = np.arange(len(rows)) - begins < observe
    return Trial(rows[first], rows[~first])


def attempt(predictor: LengthPredictor, pairs: Pairs, trial: Trial) -> Predicted:
    """Observe and predict; scored rows are predicted in the trial's order."""
    for row in trial.observed:
        predictor.observe(pairs.features(int(row)), int(pairs.response_tokens[row]))
    requests = [pairs.features(int(row)) for row in trial.scored]
    return predicted(predictor, requests, pairs.response_tokens[trial.scored].tolist())


def report(
    result: Predicted, trial: Trial, columns: Columns, timing: Mapping[str, float]
) -> dict[str, object]:
    """Return figures over all scored rows, and by each value of each column."""
    scored = {name: values[trial.scored] for name, values in columns.items()}
    return grouped(lambda rows: figures(result.taken(rows)), len(trial.scored), scored, timing)


def grouped(
    of: Callable[[Rows], Mapping[str, object]], requests: int, columns: Columns, timing: Mapping[str, float]
) -> dict[str, object]:
    """Return the figures `of` all requests, with the timing, and of those with each value of each column."""
    overall: dict[str, object] = {**of(np.arange(requests)), **timing}
    by = {
        name: {str(value): of(np.flatnonzero(values == value)) for value in np.unique(values)}
        for name, values in columns.items()
    }
    return {"overall": overall, "by": by} if by else {"overall": overall}


def timing(ask: Callable[[RequestFeatures], object], pairs: Pairs, seed: int) -> dict[str, float]:
    """Time a fresh predictor's answers to requests with different prompts, so that it saw none before."""
    _, first = np.unique(pairs.prompt_of, return_index=True)
    chosen = np.random.default_rng(seed).permutation(first)[:TIMED]
    return microseconds(ask, [pairs.features(int(row)) for row in chosen])
