"""Fixtures that several rooms share: a real control plane, started once for the whole run."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from presage_sandbox import lifecycle
from presage_sandbox.binaries import not_at_hand
from presage_sandbox.catalogue import CONTROL_PLANE
from presage_sandbox.cluster import Cluster
from presage_sandbox.images import project
from presage_sandbox.layout import Options
from presage_sandbox.node.cluster import NodeCluster
from presage_sandbox.node_hook import load_node
from presage_sandbox.progress import on_terminal

REUSE = "PRESAGE_TEST_SANDBOX"  # state folder of a sandbox that already runs
REUSE_NODE = "PRESAGE_TEST_NODE_SANDBOX"  # the same for one with a real node
CRD = Path(__file__).parent.parent / "crds" / "presage.dev_llmservices.yaml"
COMPILED = ("simulator", "simulate")  # folders whose tests run the simulator's machine code


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, one compiles the simulator for all; others share by file."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent)
        group = "compiled" if place.parts[0] in COMPILED else place.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Control plane and Prometheus without a node; $PRESAGE_TEST_SANDBOX=STATE reuses a running one."""
    reused = os.environ.get(REUSE)
    if reused:
        yield Cluster.of(Path(reused))
        return
    missing = not_at_hand(CONTROL_PLANE)
    if missing:
        pytest.fail(f"the sandbox's programs {missing} are not built: run `make binaries` (needs Go) first")
    state = tmp_path_factory.mktemp("cluster") / "state"
    layout = lifecycle.up(state, Options(scrape_interval_seconds=1), None, on_terminal())
    yield Cluster(layout)
    lifecycle.down(state, on_terminal())


@pytest.fixture(scope="module")
def crd(cluster: Cluster) -> Cluster:
    """Give the cluster with the LLMService API installed and served."""
    cluster.kube("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kube("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Make a fresh namespace; deleted afterwards without waiting."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kube("create", "namespace", name)
    yield name
    cluster.kube("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeCluster]:
    """Sandbox with a real node and the project's image; $PRESAGE_TEST_NODE_SANDBOX=STATE reuses one."""
    reused = os.environ.get(REUSE_NODE)
    if reused:
        yield NodeCluster.of(Path(reused))
        return
    if os.geteuid() != 0:
        pytest.skip("a real node needs root")
    node = load_node()
    node.check()
    missing = not_at_hand((*CONTROL_PLANE, *node.binaries()))
    if missing:
        pytest.fail(f"the sandbox's programs {missing} are not built: run `make binaries` (needs Go) first")
    image = project.build(on_terminal())
    state = tmp_path_factory.mktemp("node") / "state"
    cluster = NodeCluster(
        lifecycle.up(state, Options(node=True, scrape_interval_seconds=1), None, on_terminal())
    )
    try:
        cluster.load(image)
        yield cluster
    finally:
        lifecycle.down(state, on_terminal())
