"""Fixtures of the tests of simulating."""

import pytest
from presage_simulator.comparison import Comparison

from .made_up import compared


@pytest.fixture
def made_up() -> Comparison:
    """Give a comparison made by hand."""
    return compared()
