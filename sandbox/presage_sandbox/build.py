"""Builds programs with Go into the user's cache, each once, whoever asks and however many at a time."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from presage_sandbox.catalogue import Source
from presage_sandbox.errors import SandboxError
from presage_sandbox.progress import Progress, Step

POLL_SECONDS = 0.2
GO_FOLDER = "/usr/local/go/bin"  # where Go's own instructions install it; often not on root's PATH
ERROR_LINES = 25


def cached(source: Source) -> Path:
    """Where the built program is, or will be: ~/.cache/presage/bin/KEY/NAME (or $XDG_CACHE_HOME)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "presage" / "bin" / source.build_key / source.name


def build(source: Source, progress: Progress) -> Path:
    """Build the program unless it is in the cache; its path.

    SandboxError when Go is missing, too old, or fails; a half-built program is never left in place.
    """
    target = cached(source)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with progress.step(f"building {source.name}") as step, _only_builder(target, step):
        if not target.exists():  # else somebody else built it while we waited
            _build(source, target, step)
    return target


@contextlib.contextmanager
def _only_builder(target: Path, step: Step) -> Iterator[None]:
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                step.update("another process builds it: waiting")
                time.sleep(POLL_SECONDS)
            else:
                break
        yield


def _build(source: Source, target: Path, step: Step) -> None:
    go = _find_go(source)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{source.name}.") as folder:
        draft = Path(folder) / source.name
        command = [go, "build", "-v", *source.build_flags, "-o", str(draft), source.package]
        environment = {**os.environ, "CGO_ENABLED": "0"}  # static: runs on any Linux, and in images
        lines = _run(command, source.folder, environment, step)
        if not draft.exists():
            raise SandboxError(
                f"go build of {source.name} ({source.package}) failed:\n" + "\n".join(lines[-ERROR_LINES:])
            )
        draft.replace(target)


def _run(command: list[str], folder: Path, environment: dict[str, str], step: Step) -> list[str]:
    """Run `go build -v`, tell how many packages are done, and return what it printed."""
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        try:
            while process.poll() is None:
                # Go prints modules as it downloads them and packages as it compiles them.
                last = lines[-1].strip()[:60] if lines else "reading modules"
                step.update(f"{len(lines)} done, now {last}")
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            reader.join()
        return [line.rstrip() for line in lines] if process.returncode else []


def _find_go(source: Source) -> str:
    """Find a Go that is new enough; one that can fetch a newer one by itself (1.21 on) may do so."""
    wanted = ".".join(str(part) for part in source.go_version)
    advice = (
        f"Install Go {wanted} or newer (https://go.dev/dl) so that `go` is on PATH, "
        "or name a folder with the programs in PRESAGE_BINARIES or --binaries"
    )
    go = shutil.which("go") or shutil.which("go", path=GO_FOLDER)
    if go is None:
        raise SandboxError(f"the sandbox builds its programs with Go, and no `go` is on PATH. {advice}")
    # In the module's folder `go` answers as the version that go.mod asks for, or says why it cannot.
    answer = subprocess.run(  # noqa: S603 - our own arguments, no shell
        [go, "env", "GOVERSION"], cwd=source.folder, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0 or not _new_enough(answer.stdout.strip(), source.go_version):
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        raise SandboxError(f"{go} is too old: {said[-1] if said else 'it says nothing'}. {advice}")
    return go


def _new_enough(version: str, wanted: tuple[int, int]) -> bool:
    """Compare e.g. `go1.26.8` with (1, 26)."""
    parts = version.removeprefix("go").split(".")
    try:
        return (int(parts[0]), int(parts[1])) >= wanted
    except (ValueError, IndexError):
        return version.startswith("devel")  # somebody's own Go, from its development branch
