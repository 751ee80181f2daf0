"""Where a sandbox keeps its files and which addresses it uses."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout, Options, default_state, free_ports, plan

NAMES = st.text(string.ascii_letters, min_size=1, max_size=8)


@given(
    options=st.builds(Options, st.booleans(), st.integers(0, 1024), st.integers(1, 3600), st.none() | NAMES),
    binaries=st.dictionaries(NAMES, NAMES.map(Path)),
)
def test_a_written_layout_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, options: Options, binaries: dict[str, Path]
) -> None:
    """What `up` wrote is what everyone else reads."""
    state = tmp_path_factory.mktemp("state")
    layout = plan(state, options, binaries)
    layout.write()
    assert Layout.read(state) == layout


def test_free_ports_are_distinct() -> None:
    """No two programs are given the same port."""
    ports = free_ports(50)
    assert len(set(ports)) == 50


def test_without_a_node_the_published_ports_are_the_programs_own(tmp_path: Path) -> None:
    """Without namespaces there is nothing to forward."""
    layout = plan(tmp_path, Options(), {})
    assert layout.published["apiserver"] == layout.ports["apiserver"]
    assert layout.address == "127.0.0.1"


def test_with_a_node_programs_listen_where_pods_reach_them(tmp_path: Path) -> None:
    """Pods reach 10.99.0.1:6443 and :9090, people a random port of 127.0.0.1."""
    layout = plan(tmp_path, Options(node=True), {})
    assert layout.apiserver_url == "https://10.99.0.1:6443"
    assert layout.ports["prometheus"] == 9090
    assert layout.prometheus_url.startswith("http://127.0.0.1:")
    assert layout.published["prometheus"] != 9090


def test_no_sandbox_is_said_with_the_fix(tmp_path: Path) -> None:
    """Whoever asks for a sandbox that is not there learns how to start one."""
    with pytest.raises(SandboxError, match=r"no sandbox in .*presage sandbox up"):
        Layout.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"options": {}}', '{"options": {"wings": 2}}', "[]"])
def test_a_damaged_file_is_said_with_the_fix(tmp_path: Path, text: str) -> None:
    """A damaged sandbox.json names itself and the way out."""
    (tmp_path / "sandbox.json").write_text(text)
    with pytest.raises(SandboxError, match=r"sandbox.json is damaged .*presage sandbox down"):
        Layout.read(tmp_path)


def test_a_program_that_up_did_not_provide_is_named(tmp_path: Path) -> None:
    """Asking for a program that is not there names it."""
    with pytest.raises(SandboxError, match="'kwok' is not part of this sandbox"):
        plan(tmp_path, Options(), {}).binary("kwok")


def test_the_state_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$XDG_STATE_HOME decides where sandboxes live; else ~/.local/state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state() == tmp_path / "presage" / "sandbox"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_state() == Path.home() / ".local" / "state" / "presage" / "sandbox"
