"""The programs that a sandbox is made of: where their source is and which versions will do.

Versions stand in the go.mod files only; here they are read from there.
"""

import dataclasses
import functools
import hashlib
import re
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
KUBERNETES = "k8s.io/kubernetes"
PROMETHEUS = "github.com/prometheus/prometheus"
FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
# Prometheus finds targets in a dozen clouds; without them half the code need not be fetched or built.
PROMETHEUS_TAGS = "remove_all_sd,enable_kubernetes_sd"


@dataclasses.dataclass(frozen=True)
class Source:
    """A program and the Go package it is built from.

    `module` names a folder of MODULES, `versioned_by` the Go module that its version comes from,
    `version_variable` the string to stamp it into, `exact_minor` whether another minor version will
    not do, `version_command` how the program tells its version.
    """

    name: str
    module: str
    package: str
    versioned_by: str
    version_variable: str = ""
    version_prefix: str = "v"
    exact_minor: bool = False
    version_command: tuple[str, ...] = ("--version",)
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Of its go.mod."""
        return MODULES / self.module

    @property
    def version(self) -> tuple[int, int, int]:
        """Which its go.mod pins: (major, minor, patch)."""
        return _pinned(self.folder / "go.mod")[self.versioned_by]

    @property
    def go_version(self) -> tuple[int, int]:
        """Which Go its go.mod asks for, e.g. (1, 26)."""
        found = re.search(r"^go (\d+)\.(\d+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        assert found, f"{self.folder}/go.mod has no go directive"
        return int(found[1]), int(found[2])

    @property
    def build_flags(self) -> tuple[str, ...]:
        """Flags of `go build`, version stamp included."""
        stamp = ""
        if self.version_variable:
            number = ".".join(str(part) for part in self.version)
            stamp = f" -X {self.version_variable}={self.version_prefix}{number}"
        tags = ("-tags", self.tags) if self.tags else ()
        return (*FLAGS, *tags, "-ldflags", f"-s -w{stamp}")

    @property
    def build_key(self) -> str:
        """Same key, same program: a hash of go.mod, go.sum and the flags."""
        digest = hashlib.sha256()
        for part in ("go.mod", "go.sum"):
            digest.update((self.folder / part).read_bytes())
        digest.update(repr((self.package, self.build_flags)).encode())
        return digest.hexdigest()[:16]

    def accepts(self, version: tuple[int, int, int]) -> bool:
        """Whether a program of this version that somebody else built will do."""
        if self.exact_minor:
            return version[:2] == self.version[:2]
        return version[0] == self.version[0] and version[:2] >= self.version[:2]


def _kubernetes(name: str, version_command: tuple[str, ...] = ("--version",)) -> Source:
    return Source(
        name,
        "kubernetes",
        f"{KUBERNETES}/cmd/{name}",
        versioned_by=KUBERNETES,
        version_variable="k8s.io/component-base/version.gitVersion",
        exact_minor=True,
        version_command=version_command,
    )


def _prometheus(name: str) -> Source:
    return Source(
        name,
        "prometheus",
        f"{PROMETHEUS}/cmd/{name}",
        versioned_by=PROMETHEUS,
        version_variable="github.com/prometheus/common/version.Version",
        version_prefix="",
        tags=PROMETHEUS_TAGS,
    )


CATALOGUE = {
    each.name: each
    for each in (
        Source("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubectl", ("version", "--client")),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        Source(
            "helm",
            "kubernetes",
            "helm.sh/helm/v3/cmd/helm",
            "helm.sh/helm/v3",
            version_variable="helm.sh/helm/v3/internal/version.version",
            version_command=("version", "--short"),
        ),
        Source("coredns", "kubernetes", "github.com/coredns/coredns", "github.com/coredns/coredns"),
        _prometheus("prometheus"),
        _prometheus("promtool"),
    )
}
CONTROL_PLANE = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "prometheus",
    "promtool",
    "kubectl",
    "helm",
)


@functools.cache
def _pinned(go_mod: Path) -> dict[str, tuple[int, int, int]]:
    """Versions of the modules that a go.mod requires.

    Prometheus v3.15.0 is the Go module version v0.315.0: major and minor are told apart again.
    """
    pinned = {}
    for line in re.finditer(r"^\s*(?:require )?(\S+) v(\d+)\.(\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE):
        module, major, minor, patch = line[1], int(line[2]), int(line[3]), int(line[4])
        if module == PROMETHEUS and major == 0:
            major, minor = divmod(minor, 100)
        pinned[module] = (major, minor, patch)
    return pinned


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Find the first `N.N.N` in what a program says; None when there is none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
