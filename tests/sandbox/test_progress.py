"""What the user sees while something takes time."""

import io
import re

import pytest
from presage_sandbox import progress


def test_plain_lines_tell_start_heartbeat_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no terminal is, a step has a line at its start, one a heartbeat and one at its end."""
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.0)
    stream = io.StringIO()
    with progress.on_terminal(stream).step("building etcd") as step:
        step.update("12 done")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "building etcd …"
    assert re.fullmatch(r"building etcd: 12 done, \d\.\d s so far", lines[1])
    assert re.fullmatch(r"building etcd: \d\.\d s", lines[2])


def test_details_between_heartbeats_are_not_printed() -> None:
    """A log is not drowned: details come at most every heartbeat."""
    stream = io.StringIO()
    with progress.on_terminal(stream).step("building etcd") as step:
        for number in range(1000):
            step.update(f"{number} done")
    assert len(stream.getvalue().splitlines()) == 2


def test_a_failed_step_says_so() -> None:
    """A step that fails says after how long, and its error passes."""
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), progress.on_terminal(stream).step("building etcd"):
        raise ValueError("no")
    assert "building etcd: failed after" in stream.getvalue()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim it."""
        return True


def test_a_terminal_gets_one_line_a_step() -> None:
    """On a terminal the live line is replaced by one with the time that the step took."""
    stream = Terminal()
    with progress.on_terminal(stream).step("building etcd [v3]") as step:
        step.update("12 done")
    assert re.search(r"building etcd \[v3\]: \d\.\d s", stream.getvalue())
