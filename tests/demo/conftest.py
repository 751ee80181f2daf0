"""The committed slices and the plan made of them, as the demo itself reads them."""

from pathlib import Path

import pytest
from presage_cli.demo.plan import Plan
from presage_cli.demo.settings import make_plan
from presage_cli.demo.traces import Lengths, Shape, read_lengths, read_shape

DATA = Path(__file__).resolve().parents[2] / "examples" / "demo" / "data"


@pytest.fixture(scope="session")
def shape() -> Shape:
    """Read the committed request rates."""
    return read_shape(DATA / "shape.csv")


@pytest.fixture(scope="session")
def lengths() -> Lengths:
    """Read the committed request lengths."""
    return read_lengths(DATA / "lengths.csv")


@pytest.fixture(scope="session")
def plan(lengths: Lengths) -> Plan:
    """Make the demo's plan."""
    return make_plan(lengths, "presage-demo")
