"""The course of a run: what is cleaned up when it is cut short, and when the command fails."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from interruptible import presage_command
from presage_cli.demo.cluster import Cluster, DemoError
from presage_cli.demo.plan import Plan
from presage_cli.demo.run import Files, _start_of, play
from presage_cli.main import app
from presage_sandbox.progress import Progress, on_terminal
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


class BrokenStage:
    """A stage whose installation ends in a given way; keeps what was called."""

    image = "image:tag"
    prometheus_image = "prometheus:tag"

    def __init__(self, ending: BaseException) -> None:
        self.ending = ending
        self.calls: list[str] = []

    def open(self, _: Progress) -> Cluster:
        """Pretend to be a cluster; nothing here talks to one."""
        self.calls.append("open")
        return object.__new__(Cluster)

    def install(self, _: Path, __: Progress) -> None:
        """End the run."""
        self.calls.append("install")
        raise self.ending

    def close(self, _: Progress) -> None:
        """Note the clean-up."""
        self.calls.append("close")


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), DemoError("helm could not")])
@pytest.mark.parametrize("keep", [False, True])
def test_a_run_cut_short_cleans_up_unless_told_to_keep(
    tmp_path: Path, ending: BaseException, keep: bool
) -> None:
    """Ctrl-C and errors alike close the stage on their way out; `--keep` leaves it."""
    stage = BrokenStage(ending)
    with pytest.raises(type(ending)):
        play(stage, Files.of_checkout(tmp_path), on_terminal(), keep=keep)
    assert stage.calls == (["open", "install"] if keep else ["open", "install", "close"])


def test_counting_begins_at_a_windows_edge_after_the_warm_up(plan: Plan) -> None:
    """Operators cut time into whole windows since 1970; the replay's windows are the same."""
    for now in (1_763_726_400.0, 1_763_726_403.7):
        start = _start_of(plan, now)
        assert start % plan.window_seconds == 0
        assert start - plan.lead_seconds - now >= 10
        assert start - plan.lead_seconds - now < 10 + plan.window_seconds


def test_an_unknown_context_is_one_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`presage demo --context` of a context that is not there exits with 1 and says which."""
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\n")
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    done = CliRunner().invoke(app, ["demo", "--context", "nowhere", "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "nowhere" in done.output
    assert "Traceback" not in done.output


@pytest.mark.node
@pytest.mark.timeout(300)
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """An interrupt in the middle of the demo ends it with 130, its sandbox gone, no process left."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root")
    with subprocess.Popen(
        presage_command("demo", "--out", str(tmp_path / "out")),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "starting two equal services" in line:
                break
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        said += process.stderr.readlines()
        assert process.wait(120) == 130, "".join(said)
    assert "cleaned up" in said[-1]
    assert re.search(r"stopping the sandbox: [\d.]+ s", "".join(said))
    left = {path.name for path in (tmp_path / "presage" / "demo").iterdir()}
    assert left <= {"logs"}
