"""Where one sandbox keeps its files and which addresses it uses.

Written once by `up` to STATE/sandbox.json and read by everyone else (supervisor, node, `status`,
`down`, tests), so that several sandboxes stand side by side and a crashed one can be taken apart.
"""

import dataclasses
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from presage_sandbox.errors import SandboxError

# With a real node everything runs in a network namespace of its own, where fixed addresses are free.
NODE_ADDRESS = "10.99.0.1"  # given to loopback inside the namespace: pods reach it, 127.0.0.1 they cannot
LOOPBACK = "127.0.0.1"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"  # the first of SERVICE_CIDR, as Kubernetes chooses it
POD_CIDR = "10.88.0.0/24"
NODE_PORTS = {
    "apiserver": 6443,
    "etcd": 2379,
    "etcd-peer": 2380,
    "controller-manager": 10257,
    "scheduler": 10259,
    "prometheus": 9090,
}
FAILURE = "failure.txt"  # in the state folder: why the last start failed, from the daemon to `up`
PUBLISHED = ("apiserver", "prometheus")  # what people and tests on this machine talk to


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked `up` for."""

    node: bool = False
    gpus: int = 8  # GPUs that the node offers as `nvidia.com/gpu`
    scrape_interval_seconds: int = 5
    prometheus_history: str | None = None  # path of an OpenMetrics file loaded before Prometheus starts


@dataclasses.dataclass(frozen=True)
class Layout:
    """One sandbox's state folder, addresses and programs.

    `ports` are those the programs listen on (at `address`), `published` those on 127.0.0.1 of the
    host; without a node they are the same. `binaries` maps a program's name to its executable.
    """

    state: Path
    options: Options
    ports: Mapping[str, int]
    published: Mapping[str, int]
    binaries: Mapping[str, Path]

    @property
    def identity(self) -> str:
        """Short name of this sandbox, the same for the same state folder: for cgroups and markers."""
        return identity_of(self.state)

    @property
    def address(self) -> str:
        """Where the programs listen: 10.99.0.1 inside the node's network namespace, else loopback."""
        return NODE_ADDRESS if self.options.node else LOOPBACK

    @property
    def certificates(self) -> Path:
        """Folder of the certificate authority, every certificate and the service-account keys."""
        return self.state / "certificates"

    @property
    def logs(self) -> Path:
        """Folder with one log file a program; the only thing that `down` leaves."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """For people on this machine: administrator, through the published port."""
        return self.state / "kubeconfig"

    @property
    def kubeconfigs(self) -> Path:
        """Folder with one kubeconfig a component (`kubelet.kubeconfig`, …) at the inner address."""
        return self.state / "kubeconfigs"

    @property
    def bin(self) -> Path:
        """Folder with links to the programs, for the user's PATH."""
        return self.state / "bin"

    @property
    def targets(self) -> Path:
        """Prometheus reads scrape targets from `*.json` here (file_sd)."""
        return self.state / "prometheus" / "targets"

    @property
    def node(self) -> Path:
        """Folder that belongs to the node: containerd, kubelet, CNI."""
        return self.state / "node"

    @property
    def apiserver_url(self) -> str:
        """Of the API server as the sandbox's own programs reach it."""
        return f"https://{self.address}:{self.ports['apiserver']}"

    @property
    def published_apiserver_url(self) -> str:
        """Of the API server as people on this machine reach it."""
        return f"https://{LOOPBACK}:{self.published['apiserver']}"

    @property
    def prometheus_url(self) -> str:
        """Of Prometheus as people on this machine reach it."""
        return f"http://{LOOPBACK}:{self.published['prometheus']}"

    def binary(self, name: str) -> Path:
        """Give the executable of a program; SandboxError where `up` did not provide it."""
        if name not in self.binaries:
            raise SandboxError(
                f"program {name!r} is not part of this sandbox; it has {sorted(self.binaries)}"
            )
        return self.binaries[name]

    def write(self) -> None:
        """Write STATE/sandbox.json in one step."""
        path = self.state / "sandbox.json"
        data = {
            "options": dataclasses.asdict(self.options),
            "ports": dict(self.ports),
            "published": dict(self.published),
            "binaries": {name: str(binary) for name, binary in self.binaries.items()},
        }
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(data, indent=2))
        draft.replace(path)

    @classmethod
    def read(cls, state: Path) -> Self:
        """Read STATE/sandbox.json; SandboxError where there is no sandbox or the file is damaged."""
        path = state / "sandbox.json"
        try:
            data = json.loads(path.read_text())
            return cls(
                state=state,
                options=Options(**data["options"]),
                ports=data["ports"],
                published=data["published"],
                binaries={name: Path(binary) for name, binary in data["binaries"].items()},
            )
        except FileNotFoundError:
            raise SandboxError(f"no sandbox in {state}: start one with `presage sandbox up`") from None
        except (ValueError, KeyError, TypeError) as error:
            raise SandboxError(f"{path} is damaged ({error}): `presage sandbox down` clears it") from error


def identity_of(state: Path) -> str:
    """Short name of the sandbox in a state folder, whether or not its files are still there."""
    return hashlib.sha256(str(state).encode()).hexdigest()[:10]


def default_state() -> Path:
    """$XDG_STATE_HOME/presage/sandbox, or below ~/.local/state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "presage" / "sandbox"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now; all distinct."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def plan(state: Path, options: Options, binaries: Mapping[str, Path]) -> Layout:
    """Choose the addresses of a new sandbox."""
    free = dict(zip(NODE_PORTS, free_ports(len(NODE_PORTS)), strict=True))
    return Layout(
        state=state,
        options=options,
        ports=NODE_PORTS if options.node else free,
        published={name: free[name] for name in PUBLISHED},
        binaries=binaries,
    )
