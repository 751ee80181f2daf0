"""An encoder's sentence vectors, kept between trainings: reading all prompts takes minutes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from presage_predictors.lengths.training.encoder import Encoder


class KeptVectors:
    """Asks the encoder once for each text. The file, if any, holds hashes of texts and vectors."""

    def __init__(self, encoder: Encoder, file: Path | None) -> None:
        self._encoder = encoder
        self._file = file
        self._kept: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.exists():
            with np.load(file) as stored:
                self._kept = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors [texts, width] of texts."""
        keys = [self._key(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept}
        if missing:
            vectors = self._encoder.vectors(list(missing.values()))
            self._kept.update(zip(missing, vectors, strict=True))
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                np.savez(
                    self._file, keys=np.array(list(self._kept)), vectors=np.stack(list(self._kept.values()))
                )
        return np.stack([self._kept[key] for key in keys])

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self._encoder.name}\n{text}".encode()).hexdigest()
