"""Where programs are taken from: a folder, PATH, the cache."""

import io
from pathlib import Path

import pytest
from presage_sandbox.binaries import find_binaries, not_at_hand
from presage_sandbox.build import cached
from presage_sandbox.catalogue import CATALOGUE, parse_version
from presage_sandbox.errors import SandboxError
from presage_sandbox.progress import PlainLines

SCHEDULER = CATALOGUE["kube-scheduler"]
MAJOR, MINOR, PATCH = SCHEDULER.version


def program(folder: Path, name: str, says: str) -> Path:
    """Put a program into a folder that answers every question with `says`."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with an empty cache, an empty folder on PATH and no Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PRESAGE_BINARIES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path") + ":/bin")
    monkeypatch.setattr("presage_sandbox.build.GO_FOLDER", str(tmp_path))


def find(folder: Path | None = None) -> tuple[Path, str]:
    """Find kube-scheduler; its path and what the user was told."""
    told = io.StringIO()
    return find_binaries([SCHEDULER.name], folder, PlainLines(told))[SCHEDULER.name], told.getvalue()


def test_a_folder_comes_first_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fitting program in the folder is taken before one on PATH, by option or variable, and named."""
    program(tmp_path / "path", SCHEDULER.name, f"Kubernetes v{MAJOR}.{MINOR}.1")
    ours = program(tmp_path / "ours", SCHEDULER.name, f"Kubernetes v{MAJOR}.{MINOR}.9")
    path, told = find(ours.parent)
    assert path == ours
    assert str(ours) in told
    monkeypatch.setenv("PRESAGE_BINARIES", str(ours.parent))
    assert find()[0] == ours


@pytest.mark.parametrize("version", [f"v{MAJOR}.{MINOR - 1}.3", f"v{MAJOR}.{MINOR + 1}.0", "unknown"])
def test_a_folder_with_another_minor_is_refused(tmp_path: Path, version: str) -> None:
    """What the user named but cannot work is an error that names both versions and the fix."""
    ours = program(tmp_path / "ours", SCHEDULER.name, f"Kubernetes {version}")
    with pytest.raises(SandboxError, match=rf"{ours} has version .*needs exactly {MAJOR}\.{MINOR}: put"):
        find(ours.parent)


def test_path_is_taken_when_it_fits(tmp_path: Path) -> None:
    """A program on PATH of the same minor version is taken, and the user is told."""
    theirs = program(tmp_path / "path", SCHEDULER.name, f"Kubernetes v{MAJOR}.{MINOR}.0")
    path, told = find()
    assert path == theirs
    assert f"kube-scheduler from {theirs}" in told
    assert not_at_hand([SCHEDULER.name]) == []


def test_another_minor_on_path_is_passed_over(tmp_path: Path) -> None:
    """A program on PATH that does not fit is left alone; the cache's is taken, in silence."""
    program(tmp_path / "path", SCHEDULER.name, f"Kubernetes v{MAJOR}.{MINOR - 4}.0")
    assert not_at_hand([SCHEDULER.name]) == [SCHEDULER.name]
    built = program(cached(SCHEDULER).parent, SCHEDULER.name, "Kubernetes")
    assert find() == (built, "")
    assert not_at_hand([SCHEDULER.name]) == []


def test_nowhere_and_no_go_names_the_fix() -> None:
    """Without the program and without Go the error says what to do."""
    with pytest.raises(SandboxError, match=r"Install Go .*PRESAGE_BINARIES or --binaries"):
        find()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """A wrong --binaries is an error that names it."""
    with pytest.raises(SandboxError, match=r"nowhere .*is not a folder"):
        find(tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_program_has_a_pinned_version(name: str) -> None:
    """Each program's version is read from its go.mod, and a program of that version is accepted."""
    source = CATALOGUE[name]
    assert source.accepts(source.version)
    assert not source.accepts((source.version[0], source.version[1] - 1, 0))
    assert not source.accepts((source.version[0] + 1, 0, 0))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Kubernetes v1.36.3", (1, 36, 3)),
        ("etcd Version: 3.6.13\nGit SHA: Not provided", (3, 6, 13)),
        ("prometheus, version 3.15.0 (branch: , revision: unknown)", (3, 15, 0)),
        ("Client Version: v1.36.3\nKustomize Version: v5.7.1", (1, 36, 3)),
        ("CoreDNS-1.14.7", (1, 14, 7)),
        ("command not found", None),
    ],
)
def test_versions_are_read_from_what_programs_say(text: str, version: tuple[int, int, int] | None) -> None:
    """The first number of three parts is the version."""
    assert parse_version(text) == version
