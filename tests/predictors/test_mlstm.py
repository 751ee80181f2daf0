"""The network: numpy computes what torch trained, and weights on disk are whole or refused."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import forecast_golden
import numpy as np
import pytest
from presage_predictors.mlstm.artefact import (
    Artefact,
    decoded,
    encoded,
    load,
    save,
    shipped,
)
from presage_predictors.mlstm.network import Network, apart, forward
from presage_predictors.mlstm.source import Source
from presage_predictors.tensors import ArtefactError

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed (extra `train`)"
)


def by_numpy(artefact: Artefact) -> np.ndarray:
    """Return each member's quantiles in units, computed by numpy."""
    view = forecast_golden.seen()
    return np.stack([forward(m, view.sequence, view.steps, apart(view)) for m in artefact.members])


def test_numpy_gives_what_torch_gave() -> None:
    """The shipped weights give, in numpy, what torch computed and was kept, to single precision."""
    kept = np.load(forecast_golden.GOLDEN)
    assert str(kept["version"]) == shipped().version, "run python tests/support/forecast_golden.py"
    np.testing.assert_allclose(by_numpy(shipped()), kept["units"], rtol=1e-4, atol=1e-4)


@needs_torch
def test_numpy_gives_what_torch_gives() -> None:
    """The shipped weights give the same quantiles in numpy and in torch, to single precision."""
    by_torch = forecast_golden.by_torch(shipped(), forecast_golden.seen())
    np.testing.assert_allclose(by_numpy(shipped()), by_torch, rtol=1e-4, atol=1e-4)


@needs_torch
def test_training_is_reproducible() -> None:
    """The same examples and seed give the same weights to the bit, another seed gives others."""
    from presage_predictors.mlstm.corpus import Options, Rows, Stock, enriched  # noqa: PLC0415 - needs the extra
    from presage_predictors.mlstm.making import made  # noqa: PLC0415 - as above
    from presage_predictors.mlstm.training import Schedule  # noqa: PLC0415 - as above

    def trained(seed: int) -> str:
        rows = Rows()
        rows.add(600.0, np.random.default_rng(0).gamma(5.0, 2.0, 300))
        corpus = enriched(Stock(rows), Options(mixtures=4, young=4), np.random.default_rng(1))
        return made(corpus, Schedule(epochs=1), (seed,), {}, lambda _: None).version

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


def test_the_members_are_averaged() -> None:
    """An ensemble's quantiles are the mean of its members', and rise by level."""
    view = forecast_golden.seen()
    members = shipped().members
    whole = Network(members).quantiles(view)
    single = [Network([member]).quantiles(view) for member in members]
    busy = (whole > 0) & np.all([one > 0 for one in single], axis=0)
    np.testing.assert_allclose(whole[busy], np.mean(single, axis=0)[busy], rtol=1e-4)
    assert (np.diff(whole, axis=2) >= 0).all()
    with pytest.raises(ValueError, match="no members"):
        Network([])


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    """What was saved is loaded, facts and every number; nothing else is left in the folder."""
    path = tmp_path / "new" / "weights.safetensors"
    save(shipped(), path)
    again = load(path)
    assert again.facts == shipped().facts
    for before, after in zip(shipped().members, again.members, strict=True):
        assert before.keys() == after.keys()
        assert all((before[name] == after[name]).all() for name in before)
    assert list(path.parent.iterdir()) == [path]


def test_weights_are_safetensors(tmp_path: Path) -> None:
    """The library that defines the format reads the shipped file."""
    numpy_side = pytest.importorskip(
        "safetensors.numpy", reason="safetensors is not installed (extra `train`)"
    )
    save(shipped(), tmp_path / "w.safetensors")
    tensors = numpy_side.load_file(tmp_path / "w.safetensors")
    assert (tensors["0.out.weight"] == shipped().members[0]["out.weight"]).all()


def test_damage_is_told(tmp_path: Path) -> None:
    """A cut file, no file and a file of another format are refused by name."""
    whole = encoded(shipped().members, shipped().facts)
    for cut in (0, 5, 100, len(whole) - 7):
        with pytest.raises(ArtefactError, match="holds no weights"):
            decoded(whole[:cut], "it")
    with pytest.raises(ArtefactError, match="cannot be read"):
        load(tmp_path / "missing")
    with pytest.raises(ArtefactError, match="another"):
        decoded(encoded(shipped().members, {"format": "another"}), "it")


def test_a_swapped_file_is_noticed_and_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    """The source follows the file; while that is damaged the last good network serves, and it says why."""
    path = tmp_path / "w.safetensors"
    source = Source(path)
    assert source.version == shipped().version
    save(Artefact(shipped().members[:1], dict(shipped().facts) | {"version": "mine"}), path)
    mine = source.refresh()
    assert source.version == "mine"
    assert source.refresh() is mine
    path.write_bytes(b"damaged")
    assert source.refresh() is mine
    assert source.trouble is not None


def test_no_torch_where_forecasts_are_served() -> None:
    """Importing the forecaster and loading its weights loads neither torch nor readers of training data."""
    code = (
        "import sys\n"
        "import presage_predictors.auto.forecaster, presage_predictors.mlstm.source as source\n"
        "source.Source()\n"
        "print([name for name in ('torch', 'pyarrow', 'sklearn', 'lightgbm') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
