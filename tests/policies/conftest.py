"""Small engines and loads that the brain's tests share."""

import pytest
from hypothesis import settings
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile

settings.register_profile("presage", deadline=None)  # a busy machine is no failure
settings.load_profile("presage")


@pytest.fixture
def small() -> EngineProfile:
    """Return an engine of 64 blocks, 8 sequences and 32 tokens an iteration: limits are reached at once."""
    return EngineProfile(
        "small",
        IterationCoefficients(0.01, 1e-4, 1e-5, 1e-6, 1e-8),
        1024,
        16,
        max_sequences=8,
        token_budget=32,
    )


@pytest.fixture
def rtx4090() -> EngineProfile:
    """Return the profile that the demo runs on."""
    return load_profile("rtx4090-llama-3.1-8b")


@pytest.fixture
def objectives() -> Objectives:
    """Objectives that the RTX 4090 can meet with a handful of requests."""
    return Objectives(2.0, 0.08)
