"""What an engine refuses to start with."""

from typing import Any

import pytest
from presage_sandbox.engine.settings import EngineSettings


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("time_scale", 0.0, "time-scale is 0.0: use a factor above 0"),
        ("time_scale", float("inf"), "time-scale is inf: use a factor"),
        ("stream_interval", 0, "stream-interval is 0: use 1 or more"),
        ("cold_start_seconds", -1.0, "cold-start-seconds is -1.0: use 0 or more"),
        ("max_model_len", 4097, "max-model-len is 4097: use 2 to 4096"),
        ("max_model_len", 1, "max-model-len is 1: use 2 to 4096"),
        ("grace_seconds", float("nan"), "grace-seconds is nan: use 0 or more"),
        ("model", "", "model is '': give the name"),
        ("port", 70000, "port is 70000: use 1 to 65535"),
    ],
)
def test_bad_settings(make_profile: Any, field: str, value: Any, says: str) -> None:
    """A setting that cannot be is refused with its name, its value and the fix."""
    with pytest.raises(ValueError, match=says):
        EngineSettings(**({"profile": make_profile(), "model": "m"} | {field: value}))


def test_context_is_whole_blocks(make_profile: Any) -> None:
    """Without a limit the context is what whole blocks of the KV cache hold."""
    settings = EngineSettings(profile=make_profile(kv_capacity_tokens=1000), model="m")
    assert settings.context_tokens == 992
    assert EngineSettings(profile=make_profile(), model="m", max_model_len=100).context_tokens == 100
