"""Lengths without any prediction: every response is taken to be as long as responses usually are.

What the other predictors are compared with: whoever switches prediction off gets this.
"""

from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, RequestFeatures

PRIOR = LengthDistribution(WIRE_LEVELS, (8.0, 16.0, 60.0, 180.0, 400.0, 700.0, 1000.0, 2000.0))


class PriorLengthPredictor:
    """Predicts the same of every request and learns nothing; ours."""

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the usual distribution of output tokens, cut at what the request can have."""
        return PRIOR.capped(features.cap)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn nothing."""

    def shares(self, features: RequestFeatures) -> dict[str, float]:
        """Return that only the prior has a say."""
        del features
        return {"prior": 1.0}
