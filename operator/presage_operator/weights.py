"""Which weights the learned forecaster serves with, and what is wrong with those it was told to use.

The file may be swapped while the operator runs. One that is missing or damaged stops nobody, the last good
weights serve on; so it has to be said, once for each change and not once for each service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from presage_operator.metrics import Metrics

log = structlog.get_logger(__name__)


class Weights(Protocol):
    """The weights that serve now."""

    @property
    def version(self) -> str:
        """Their name."""
        ...

    @property
    def written(self) -> float | None:
        """When their file was written, Unix seconds; None for those of the package."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the file that was asked for does not serve; None when it does, or none was."""
        ...


class WeightsWatch:
    """Shows the weights of one process in its metrics and log."""

    def __init__(self, weights: Weights, metrics: Metrics) -> None:
        self._weights = weights
        self._metrics = metrics
        self._shown: tuple[str, float | None, str | None] | None = None

    def look(self) -> str | None:
        """Show the weights if they have changed, and return their trouble."""
        weights = self._weights
        version, written, trouble = found = weights.version, weights.written, weights.trouble
        if found == self._shown:
            return trouble
        before = self._shown[2] if self._shown else None
        self._shown = found
        self._metrics.show_weights(version, written, usable=trouble is None)
        if trouble is None:
            log.info("forecast weights", version=version)
        elif trouble != before:
            log.warning("forecast weights cannot be used", problem=trouble)
        return trouble
