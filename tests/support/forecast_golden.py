"""What torch makes of the shipped weights, kept so that numpy can be compared where torch is not.

`python tests/support/forecast_golden.py` (in an environment with the extra `train`) writes it anew.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from presage_predictors.mlstm.artefact import Artefact, shipped
from presage_predictors.mlstm.network import apart
from presage_predictors.panel import Panel, View

GOLDEN = Path(__file__).parent / "forecast_golden.npz"


def seen() -> View:
    """Return what the networks see of five odd series after 200 windows: noise, wave, gaps, zeros, a jump."""
    rng = np.random.default_rng(5)
    t = np.arange(200)
    rows = np.stack(
        [
            rng.gamma(4.0, 25.0, 200),
            500 + 300 * np.sin(2 * np.pi * t / 48),
            np.where(rng.random(200) < 0.3, np.nan, rng.gamma(9.0, 3.0, 200)),
            np.where(t % 7 == 0, rng.random(200), 0.0),
            np.where(t < 190, 10.0, 900.0),
        ]
    )
    panel = Panel(len(rows), 600.0, 48, np.array([1, 2, 6, 12]))
    for index in t:
        view = panel.update(rows[:, index], (index + 1) * 600.0)
    return view


def by_torch(artefact: Artefact, view: View) -> NDArray[np.float32]:
    """Return each member's quantiles in units, [members, rows, ahead, levels], computed by torch."""
    import torch  # noqa: PLC0415 - only where there is one
    from presage_predictors.mlstm.module import MLSTM  # noqa: PLC0415 - as above

    made = []
    inputs = [torch.from_numpy(array.copy()) for array in (view.sequence, view.steps, apart(view))]
    for member in artefact.members:
        module = MLSTM()
        module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in member.items()})
        with torch.no_grad():
            made.append(module(*inputs).numpy())
    return np.stack(made)


if __name__ == "__main__":
    np.savez(GOLDEN, version=np.array(shipped().version), units=by_torch(shipped(), seen()))
