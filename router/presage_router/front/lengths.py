"""Length predictions that cannot fail a request: a predictor's error falls back to a prior, visibly."""

import structlog
from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, LengthPredictor, RequestFeatures

from presage_router.metrics import Metrics

_log = structlog.get_logger("presage.router")
# A wide guess about chat answers, for when nothing is known; in tokens at WIRE_LEVELS (ours).
PRIOR = LengthDistribution(WIRE_LEVELS, (8, 16, 60, 180, 400, 750, 1000, 1800))
_LOG_EVERY = 100


class SafePredictor:
    """Wraps a predictor: what it raises is counted and logged, and the prior serves."""

    def __init__(self, predictor: LengthPredictor, metrics: Metrics) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._failures = 0

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the predicted output tokens, never beyond `max_tokens`."""
        try:
            length = self._predictor.predict(features)
        except Exception as error:  # noqa: BLE001 - a learned model may fail in any way; requests go on
            self._failed("predict", error)
            length = PRIOR
        return length.capped(features.max_tokens)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Let the predictor learn from a finished request."""
        try:
            self._predictor.observe(features, output_tokens)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed("observe", error)

    def _failed(self, what: str, error: Exception) -> None:
        self._metrics.predictor_failures.inc()
        if self._failures % _LOG_EVERY == 0:
            _log.warning(
                "length predictor failed; the prior serves",
                call=what,
                error=f"{type(error).__name__}: {error}",
            )
        self._failures += 1
