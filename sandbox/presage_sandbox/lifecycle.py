"""`up`, `down` and `status` as functions: what the command, the tests and the demo call."""

import contextlib
import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presage_sandbox import control, processes
from presage_sandbox.binaries import find_binaries
from presage_sandbox.catalogue import CONTROL_PLANE
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import FAILURE, Layout, Options, identity_of, plan
from presage_sandbox.node_hook import load_node
from presage_sandbox.progress import Progress, Step

POLL_SECONDS = 0.1
START_SECONDS = 300.0
STOP_SECONDS = 90.0
# All that a sandbox writes into its state folder, except its logs; nothing else there is ever touched.
OURS = (
    *("bin", "certificates", "etcd", "kubeconfigs", "node", "prometheus"),
    *("kubeconfig", "tokens.csv", "sandbox.json", "sandbox.draft", control.NAME, FAILURE, "lock"),
)


@dataclasses.dataclass(frozen=True)
class Status:
    """How a sandbox is; `programs` in start order, with pids of the host."""

    ready: bool
    programs: list[dict[str, Any]]

    @property
    def healthy(self) -> bool:
        """Whether everything has started and every program passes its check."""
        return self.ready and all(each["healthy"] for each in self.programs)


def up(state: Path, options: Options, folder: Path | None, progress: Progress) -> Layout:
    """Start a sandbox and return when it is ready; one that runs with the same options is kept.

    What a crash left is cleared first. SandboxError when a program cannot be had or does not start
    (everything is taken down again), or when one runs here with other options.
    """
    state = state.absolute()
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(state):
        if _is_running(state):
            return _running_as_asked(state, options)
        if (state / "sandbox.json").exists():
            progress.say(f"clearing what is left of a sandbox in {state}")
            _take_down(state, progress)
        return _start(state, options, folder, progress)


def down(state: Path, progress: Progress) -> None:
    """Stop everything in order, and clear what a crashed sandbox left; nothing to do is fine too.

    Only the logs stay. SandboxError when a process or mount cannot be cleared.
    """
    state = state.absolute()
    if state.exists():
        with _alone(state):
            _take_down(state, progress)


def status(state: Path) -> Status:
    """Ask the sandbox how it is; SandboxError when there is none or its supervisor is gone."""
    state = state.absolute()
    layout = Layout.read(state)
    try:
        answer = control.ask(state, {"command": "status"})
    except OSError as error:
        raise SandboxError(
            f"the supervisor of {state} does not answer ({error}), it may have crashed: "
            f"`presage sandbox down --state {state}` clears up; its log is {layout.logs / 'supervisor.log'}"
        ) from error
    host = processes.host_pids(layout.identity)
    for each in answer["programs"]:
        each["pid"] = host.get(each["pid"])
    return Status(answer["ready"], answer["programs"])


def change(state: Path, command: str, program: str) -> None:
    """Have the supervisor `start`, `stop` or `restart` one program; returns when that is done."""
    state = state.absolute()
    Layout.read(state)
    try:
        control.ask(state, {"command": command, "program": program})
    except OSError as error:
        raise SandboxError(f"the supervisor of {state} does not answer: {error}") from error


def _start(state: Path, options: Options, folder: Path | None, progress: Progress) -> Layout:
    """Find the programs, start the daemon, wait until it is ready; nothing stays when that fails."""
    names: tuple[str, ...] = CONTROL_PLANE
    if options.node:
        node = load_node()
        node.check()
        names += node.binaries()
    layout = plan(state, options, find_binaries(names, folder, progress))
    _prepare(layout)
    try:
        with progress.step("starting the sandbox") as step:
            _start_daemon(layout)
            _wait_until_ready(layout, step)
    except BaseException:
        _take_down(state, progress)
        raise
    return layout


def _take_down(state: Path, progress: Progress) -> None:
    with progress.step("stopping the sandbox") as step:
        _stop_daemon(state, step)
        step.update("clearing")
        processes.kill_all(identity_of(state))
        _restore_host(state)
        _remove_files(state)


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Keep a second `up` or `down` of the same sandbox waiting until this one is done."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _running_as_asked(state: Path, options: Options) -> Layout:
    layout = Layout.read(state)
    if layout.options != options:
        raise SandboxError(
            f"a sandbox runs in {state} with other options ({layout.options}): "
            "`presage sandbox down` first, or use another --state"
        )
    if not status(state).ready:
        raise SandboxError(f"a sandbox in {state} is starting or stopping: try again in a moment")
    return layout


def _prepare(layout: Layout) -> None:
    """Fill the state folder: sandbox.json and links to the programs."""
    history = layout.options.prometheus_history
    if history is not None and not Path(history).is_file():
        raise SandboxError(f"--prometheus-history {history}: no such file")
    layout.logs.mkdir(exist_ok=True)
    for old in layout.logs.iterdir():
        old.unlink()
    layout.write()
    layout.bin.mkdir(exist_ok=True)
    for name, path in layout.binaries.items():
        (layout.bin / name).symlink_to(path)


def _start_daemon(layout: Layout) -> None:
    """Start the daemon and return when it holds the state folder's lock."""
    with (layout.logs / "supervisor.log").open("ab") as log:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "presage_sandbox.daemon", str(layout.state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(layout),
            cwd="/",
            start_new_session=True,
            check=False,
        )
    if done.returncode != 0:
        raise SandboxError(_why_it_ended(layout))


def _environment(layout: Layout) -> dict[str, str]:
    """Ours, without proxies: the sandbox's programs talk to each other only."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, processes.MARK: layout.identity}


def _wait_until_ready(layout: Layout, step: Step) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _is_running(layout.state):
        with contextlib.suppress(OSError):  # not listening yet, or not any more
            answer = control.ask(layout.state, {"command": "status"})
            if answer["ready"]:
                return
            step.update(answer["doing"])
        if time.monotonic() > deadline:
            raise SandboxError(f"the sandbox was not ready after {START_SECONDS:g} s; logs: {layout.logs}")
        time.sleep(POLL_SECONDS)
    raise SandboxError(_why_it_ended(layout))


def _why_it_ended(layout: Layout) -> str:
    failure = layout.state / FAILURE
    if failure.exists():
        return failure.read_text()
    log = layout.logs / "supervisor.log"
    return f"the supervisor ended at start; the end of {log}:\n" + log.read_text()[-2000:]


def _is_running(state: Path) -> bool:
    """Whether a daemon holds the state folder's lock."""
    try:
        with (state / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _stop_daemon(state: Path, step: Step) -> None:
    """Ask the daemon to end and wait for it; one that does not answer is left to `kill_all`."""
    try:
        control.ask(state, {"command": "down"}, timeout_seconds=10)
    except (OSError, SandboxError):
        return
    for _ in _until(STOP_SECONDS):
        if not _is_running(state):
            return
        with contextlib.suppress(OSError, SandboxError):
            step.update(control.ask(state, {"command": "status"}, timeout_seconds=5)["doing"])


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL_SECONDS)


def _restore_host(state: Path) -> None:
    """Have the node put the host back; after a clean stop it finds nothing to do."""
    if not (state / "node").exists():
        return
    try:
        layout = Layout.read(state)
    except SandboxError:  # missing or damaged: what to restore depends on the state folder alone
        layout = plan(state, Options(node=True), {})
    load_node().restore_host(layout)


def _remove_files(state: Path) -> None:
    """Remove what is ours; never through a mount, which would delete somebody else's files."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [mount for mount in mounts if Path(mount).is_relative_to(state) and Path(mount) != state]
    if below:
        raise SandboxError(
            f"still mounted in {state}: {below}; `umount` them, then `presage sandbox down` again"
        )
    for name in OURS:
        path = state / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
