"""Lengths without any prediction: every response is taken to be as long as responses usually are.

What the other predictors are compared with: whoever switches prediction off gets this.
"""

from presage_policies.lengths import PRIOR, LengthDistribution, RequestFeatures


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
