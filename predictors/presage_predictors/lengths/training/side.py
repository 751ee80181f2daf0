"""The models' vectors while they are trained."""

import torch
from torch import Tensor, nn

from presage_predictors.lengths.law import SIDE

_FORGOTTEN = 0.05  # share of rows that see the middle of all models instead of their own


class Side(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """One vector a model about a common middle."""

    def __init__(self, models: int) -> None:
        super().__init__()
        self.middle = nn.Parameter(torch.zeros(SIDE))
        self.deviation = nn.Embedding(models, SIDE)
        nn.init.normal_(self.deviation.weight, std=0.1)

    @classmethod
    def of(cls, vectors: Tensor) -> "Side":
        """Return a side to be trained on from vectors [models, SIDE]."""
        side = cls(len(vectors))
        with torch.no_grad():
            side.middle.copy_(vectors.mean(0))
            side.deviation.weight.copy_(vectors - side.middle)
        return side

    def forward(self, model: Tensor) -> Tensor:
        """Return vectors [rows, SIDE] of models by number."""
        deviation = self.deviation(model)
        if self.training:
            deviation = deviation * (torch.rand(len(model), 1) > _FORGOTTEN)
        return self.middle + deviation

    def vectors(self) -> Tensor:
        """Return all vectors [models, SIDE]."""
        return (self.middle + self.deviation.weight).detach()
