"""A frozen encoder that reads a prompt behind a trained soft prompt, and a head that makes of it a reading.

Prompt tuning (Lester et al., arXiv:2104.08691) of an encoder for response lengths, as in PreServe
(arXiv:2504.03702), which uses DistilBERT; the head's form and what it predicts are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors import tensors
from presage_predictors.lengths.artefact import side_arrays, side_facts, sides_of
from presage_predictors.lengths.text import read
from presage_predictors.lengths.training.encoder import Encoder, padded
from presage_predictors.lengths.training.teacher import Head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from presage_policies.lengths import RequestFeatures

    from presage_predictors.lengths.law import Vector
    from presage_predictors.lengths.sides import Sides

FORMAT = "presage-length-transformer-1"
SOFT_PIECES = 8  # entries of the soft prompt
_SMALL = 0.02


class SoftPromptTower(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """Encoder, soft prompt [pieces, width] and head. `mean` and `scale` make signals standard."""

    def __init__(self, encoder: Encoder, head: Head, mean: Tensor, scale: Tensor, pieces: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.frozen = encoder.model
        self.head = head
        self.soft = nn.Parameter(torch.randn(pieces, encoder.model.config.hidden_size) * _SMALL)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, pieces: list[list[int]], signals: Tensor) -> Tensor:
        """Return readings [prompts, READING] of token ids and unscaled signals [prompts, signals]."""
        ids, mask = padded(pieces)
        words = self.frozen.get_input_embeddings()(ids)
        soft = self.soft.expand(len(pieces), -1, -1)
        inputs = torch.cat([words[:, :1], soft, words[:, 1:]], 1)
        mask = torch.cat([mask.new_ones(len(pieces), len(self.soft)), mask], 1)
        states = self.frozen(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.head(nn.functional.normalize(pooled), (signals - self.mean) * self.scale)

    def readings(self, requests: Sequence[RequestFeatures]) -> Tensor:
        """Return readings of requests, without gradients."""
        self.eval()
        signals = torch.from_numpy(np.stack([read(request).signals for request in requests]))
        with torch.inference_mode():
            return self([self.encoder.pieces(request.prompt) for request in requests], signals)

    def read(self, features: RequestFeatures) -> Vector:
        """Return the reading [READING] of one request."""
        reading: Vector = self.readings([features])[0].numpy().astype(np.float64)
        return reading


def save(tower: SoftPromptTower, sides: Sides, path: Path) -> None:
    """Write all that was trained; the encoder itself is named, not copied."""
    arrays = {f"head.{name}": value.numpy() for name, value in tower.head.state_dict().items()}
    arrays |= {
        name: getattr(tower, name).detach().numpy().astype(np.float32) for name in ("soft", "mean", "scale")
    }
    facts = {"format": FORMAT, "encoder": tower.encoder.name, **side_facts(sides)}
    tensors.write(path, arrays | side_arrays(sides), facts)


def load(path: Path) -> tuple[SoftPromptTower, Sides]:
    """Read what `save` wrote and load the encoder. Raises ArtefactError, or OSError without the encoder."""
    arrays, facts = tensors.decoded(path.read_bytes(), str(path))
    if facts.get("format") != FORMAT:
        raise tensors.ArtefactError(f"{path} has format {facts.get('format')!r}: {FORMAT!r} is read")
    head = Head(arrays["soft"].shape[1], len(arrays["mean"]))
    head.load_state_dict(
        {name[5:]: torch.tensor(value) for name, value in arrays.items() if name.startswith("head.")}
    )
    mean, scale = torch.tensor(arrays["mean"]), torch.tensor(arrays["scale"])
    tower = SoftPromptTower(Encoder.load(facts["encoder"]), head, mean, scale, len(arrays["soft"]))
    with torch.no_grad():
        tower.soft.copy_(torch.tensor(arrays["soft"]))
    return tower, sides_of(arrays, facts, str(path))
