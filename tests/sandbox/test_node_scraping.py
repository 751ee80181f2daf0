"""Prometheus of a sandbox with a node scrapes real pods: labelled ones and annotated ones."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from presage_sandbox.images import prometheus as image
from presage_sandbox.node.cluster import NodeCluster

pytestmark = pytest.mark.node

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: labelled, labels: {presage.dev/service: chat}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: metrics
    image: presage.dev/prometheus:dev
    args: [--config.file=/etc/none.yaml, "--web.listen-address=:8100"]
    command: [/bin/prometheus]
    ports: [{name: front, containerPort: 8000}, {name: peer, containerPort: 8100}]
    volumeMounts: [{name: empty, mountPath: /etc/none.yaml, subPath: none.yaml}]
  volumes: [{name: empty, configMap: {name: empty}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: annotated
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9100", prometheus.io/path: /deep/metrics}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: metrics
    image: presage.dev/prometheus:dev
    args: [--config.file=/etc/none.yaml, "--web.listen-address=:9100", "--web.route-prefix=/deep"]
    command: [/bin/prometheus]
    volumeMounts: [{name: empty, mountPath: /etc/none.yaml, subPath: none.yaml}]
  volumes: [{name: empty, configMap: {name: empty}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: empty}
data: {none.yaml: "global: {}"}
"""


@pytest.fixture
def node_namespace(node_cluster: NodeCluster) -> Iterator[str]:
    """Make a fresh namespace on the node's cluster; deleted afterwards without waiting."""
    name = f"scraping-{uuid.uuid4().hex[:8]}"
    node_cluster.kube("create", "namespace", name)
    yield name
    node_cluster.kube("delete", "namespace", name, "--wait=false")


def scraped(cluster: NodeCluster, namespace: str) -> dict[str, Any]:
    """Targets of one namespace that answered, by pod: how many, and their job."""
    parameters = {"query": f'up{{namespace="{namespace}"}} == 1'}
    answer = httpx.get(f"{cluster.prometheus_url}/api/v1/query", params=parameters, trust_env=False)
    series = [each["metric"] for each in answer.raise_for_status().json()["data"]["result"]]
    return {each["pod"]: (each["job"], each["instance"].rpartition(":")[2]) for each in series} | {
        "count": len(series)
    }


def test_pods_are_scraped_as_the_contract_says(node_cluster: NodeCluster, node_namespace: str) -> None:
    """A pod of a service is scraped once, at 8100; an annotated one where its annotations say."""
    node_cluster.load(image.build({name: node_cluster.layout.binary(name) for name in image.PROGRAMS}))
    node_cluster.kube("apply", "-n", node_namespace, "-f", "-", stdin=PODS)
    wanted = {"labelled": ("sidecars", "8100"), "annotated": ("annotated-pods", "9100"), "count": 2}
    deadline = time.monotonic() + 60
    while (found := scraped(node_cluster, node_namespace)) != wanted:
        assert time.monotonic() < deadline, f"scraped {found}, wanted {wanted}"
        time.sleep(0.5)
