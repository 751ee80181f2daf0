"""`presage router` as users meet it when a flag or a file is wrong."""

from pathlib import Path

import pytest
from presage_cli.main import app
from typer.testing import CliRunner

SERVE = ["router", "--service", "chat", "--log-level", "error"]


@pytest.fixture(autouse=True)
def _logs_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the command from sending this process's logs to an output that ends with the command."""
    monkeypatch.setattr("presage_router.logs.configure_logs", lambda _: None)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["router"], "give --config FILE, or --service NAME"),
        (["router", "--config", "/nowhere/router.yaml"], "/nowhere/router.yaml cannot be read"),
        ([*SERVE, "--front", "x"], "--front is 'x': give HOST:PORT"),
        ([*SERVE, "--engine", "localhost:8200"], "--engine is 'localhost:8200': give a URL"),
        ([*SERVE, "--log-level", "loud"], "--log-level is 'loud': give one of debug, info"),
        ([*SERVE, "--endpointslices", "chat"], "--advertise is missing"),
        ([*SERVE, "--endpointslices", "chat", "--advertise", "10.0.0.1"], "works in a pod only"),
        ([*SERVE, "--endpointslices", "a", "--peers-file", "b"], "give one of them"),
        ([*SERVE, "--peers-file", "/nowhere", "--advertise", "127.0.0.1"], "/nowhere cannot be read"),
    ],
)
def test_mistakes_are_told_with_the_flag_and_the_fix(
    flags: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong flag or file ends the command with 2 and one line that names it and says what to give."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    result = CliRunner().invoke(app, flags)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_predictor_or_profile_is_told(tmp_path: Path) -> None:
    """Names in the configuration that do not exist are refused with those that do."""
    for line, told in (("predictor: Magic", "give one of History"), ("profile: abacus", "rtx4090")):
        file = tmp_path / "router.yaml"
        file.write_text(f"service: chat\n{line}\n")
        result = CliRunner().invoke(app, ["router", "--config", str(file), "--log-level", "error"])
        assert result.exit_code == 2
        assert told in result.stderr
