"""Building a program with Go: once, cached, and never half."""

import io
import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from presage_sandbox import catalogue
from presage_sandbox.build import GO_FOLDER, build, cached
from presage_sandbox.catalogue import Source
from presage_sandbox.errors import SandboxError
from presage_sandbox.progress import PlainLines

MAIN = (
    'package main\n\nimport "os"\n\nvar version = "none"\n\nfunc main() { os.Stdout.WriteString(version) }\n'
)
HELLO = Source("hello", "hello", "hello", versioned_by="hello/versioned", version_variable="main.version")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a module with one small program, and an empty cache to build it into."""
    folder = tmp_path / "modules" / "hello"
    (folder / "versioned").mkdir(parents=True)
    (folder / "versioned" / "go.mod").write_text("module hello/versioned\n\ngo 1.21\n")
    (folder / "go.mod").write_text(
        "module hello\n\ngo 1.21\n\nrequire hello/versioned v1.2.3\n\n"
        "replace hello/versioned => ./versioned\n"
    )
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text(MAIN)
    monkeypatch.setattr(catalogue, "MODULES", folder.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOCACHE", os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "go-build"))
    return folder


def fake_go(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a `go` of our own first on PATH; $GO is the real one."""
    folder.mkdir()
    go = folder / "go"
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(go.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("GO", shutil.which("go") or f"{GO_FOLDER}/go")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.cluster
def test_a_program_is_built_with_its_version(module: Path) -> None:
    """What is built runs and tells the version that go.mod pins."""
    path = build(HELLO, PlainLines(io.StringIO()))
    assert path == cached(HELLO)
    assert subprocess.check_output([path], text=True) == "v1.2.3"


@pytest.mark.cluster
def test_two_builders_at_once_build_once(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second waits for the first and takes what it built."""
    log = tmp_path / "builds"
    fake_go(tmp_path / "bin", monkeypatch, f'[ "$1" = build ] && echo one >> {log}\nexec "$GO" "$@"')
    builders = [threading.Thread(target=build, args=(HELLO, PlainLines(io.StringIO()))) for _ in range(3)]
    for each in builders:
        each.start()
    for each in builders:
        each.join()
    assert log.read_text() == "one\n"
    assert subprocess.check_output([cached(HELLO)], text=True) == "v1.2.3"


@pytest.mark.cluster
def test_a_failed_build_quotes_go_and_leaves_nothing(module: Path) -> None:
    """The error carries the compiler's words; the cache holds no program, whole or half."""
    (module / "main.go").write_text(MAIN.replace("version)", "wings)"))
    with pytest.raises(SandboxError, match=r"(?s)go build of hello \(hello\) failed.*undefined: wings"):
        build(HELLO, PlainLines(io.StringIO()))
    assert [each.name for each in cached(HELLO).parent.iterdir()] == [".hello.lock"]


def test_no_go_names_the_fix(module: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Go and without programs the error says what to install or where to put them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("presage_sandbox.build.GO_FOLDER", str(tmp_path))
    with pytest.raises(
        SandboxError, match=r"no `go` is on PATH. Install Go 1.21 or newer .*PRESAGE_BINARIES"
    ):
        build(HELLO, PlainLines(io.StringIO()))


@pytest.mark.parametrize(
    "script",
    ["echo go1.19.8", "echo 'go: go.mod requires go >= 1.21 (running go 1.20)' >&2; exit 1"],
    ids=["answers with its old version", "refuses the module"],
)
def test_an_old_go_names_the_fix(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """A Go that is too old is named, with what it said and the version to install."""
    fake_go(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(SandboxError, match=r"bin/go is too old: go.*Install Go 1.21 or newer"):
        build(HELLO, PlainLines(io.StringIO()))


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_other_pins_are_another_program(module: Path, file: str) -> None:
    """A change of any pinned version leads to another place in the cache, so that it is built anew."""
    before = cached(HELLO)
    with (module / file).open("a") as stream:
        stream.write("// changed\n")
    assert cached(HELLO) != before
