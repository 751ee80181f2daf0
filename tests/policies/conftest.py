"""What the brain's tests share."""

import pytest
from hypothesis import settings
from presage_policies.engine import EngineProfile
from presage_policies.profiles import load_profile

settings.register_profile("presage", deadline=None)  # a busy machine is no failure
settings.load_profile("presage")


@pytest.fixture
def rtx4090() -> EngineProfile:
    """Return the profile that the demo runs on."""
    return load_profile("rtx4090-llama-3.1-8b")
