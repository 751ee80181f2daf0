"""Pods on the sandbox's node behave as on any other."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from presage_sandbox.errors import SandboxError
from presage_sandbox.images import pause, prometheus
from presage_sandbox.images.oci import Runs
from presage_sandbox.images.static import static_image
from presage_sandbox.layout import free_ports
from presage_sandbox.node import dns, kubelet, network
from presage_sandbox.node.cluster import NodeCluster
from presage_sandbox.progress import on_terminal

pytestmark = pytest.mark.node
WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: sidecar
    image: presage.dev/presage:dev
    restartPolicy: Always
    command: [python3, -m, http.server, "8100"]
    readinessProbe: {httpGet: {port: 8100, path: /}, periodSeconds: 1}
  containers:
  - name: engine
    image: presage.dev/presage:dev
    command: [python3, -u, -m, http.server, "8200"]
    resources: {limits: {nvidia.com/gpu: 1, memory: 200Mi}}
    readinessProbe: {httpGet: {port: 8200, path: /}, periodSeconds: 1}
  - name: second
    image: presage.dev/presage:dev
    command: [sleep, "3600"]
---
apiVersion: v1
kind: Service
metadata: {name: site}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8200}]}
"""
PROMETHEUS = """
apiVersion: v1
kind: Pod
metadata: {name: prometheus}
spec:
  initContainers:
  - name: check
    image: presage.dev/prometheus:dev
    command: [/bin/promtool, check, config, --syntax-only, /config/prometheus.yaml]
    volumeMounts: [{name: config, mountPath: /config}]
  containers:
  - name: prometheus
    image: presage.dev/prometheus:dev
    args: [--config.file=/config/prometheus.yaml, --storage.tsdb.path=/prometheus]
    securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false}
    readinessProbe: {httpGet: {port: 9090, path: /-/ready}, periodSeconds: 1}
    volumeMounts: [{name: config, mountPath: /config}]
  volumes: [{name: config, configMap: {name: prometheus}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: prometheus}
data: {prometheus.yaml: "global: {scrape_interval: 1s}"}
"""
CALLER = """
import ssl, sys, urllib.request as web
for url in sys.argv[1:]:
    trust = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    with web.urlopen(url, timeout=5, context=trust if url.startswith("https") else None) as answer:
        print(answer.status, url)
"""


def holding_pod(name: str, gpus: int = 0, image: str = pause.NAME) -> str:
    """Manifest of a pod that does nothing."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: hold
    image: {image}
    imagePullPolicy: IfNotPresent
    resources: {{limits: {{nvidia.com/gpu: {gpus}}}}}
"""


def eventually(claim: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the claim becomes true in time."""
    deadline = time.monotonic() + seconds
    while not (true := claim()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return true


@pytest.fixture(scope="module")
def web(node_cluster: NodeCluster) -> Iterator[NodeCluster]:
    """Give the cluster with a pod of two containers and a native sidecar, and a Service in front."""
    default_account = ("get", "serviceaccount", "default", "--ignore-not-found", "--output=name")
    assert eventually(lambda: bool(node_cluster.kube(*default_account)))
    node_cluster.kube("apply", "--filename=-", stdin=WEB)
    node_cluster.kube("wait", "--for=condition=Ready", "--timeout=30s", "pod/web")
    yield node_cluster
    node_cluster.kube("delete", "pod/web", "service/site", "--wait=false")


def test_the_node_is_ready_and_offers_its_gpus(node_cluster: NodeCluster) -> None:
    """The node is Ready when `up` returns, with the GPUs that it was asked for."""
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status} {.status.allocatable.nvidia\\.com/gpu}"
    assert node_cluster.kube("get", "node", "presage", f"--output={path}") == "True 8"


def test_a_pod_with_a_sidecar_becomes_ready(web: NodeCluster) -> None:
    """Two containers and a native sidecar run, each found by its probe."""
    path = "jsonpath={.status.containerStatuses[*].ready} {.status.initContainerStatuses[*].ready}"
    assert web.kube("get", "pod", "web", f"--output={path}") == "true true true"


def test_logs_and_exec_work(web: NodeCluster) -> None:
    """`kubectl logs` and `kubectl exec` reach the containers, which do not run as root."""
    assert "Serving HTTP on" in web.kube("logs", "web", "--container=engine")
    assert web.kube("exec", "web", "--container=second", "--", "id", "-u").strip() == "65532"


def test_pods_reach_services_api_server_and_prometheus_by_name(web: NodeCluster) -> None:
    """DNS and ClusterIPs work, from the pod to itself through its Service too."""
    urls = ("http://site", "http://site.default.svc", "https://kubernetes.default.svc/livez")
    urls = (*urls, "http://10.99.0.1:9090/-/ready")
    call = ("exec", "web", "--container=second", "--", "python3", "-c", CALLER, *urls)
    assert web.kube(*call).split("\n")[:-1] == [f"200 {url}" for url in urls]


def test_a_name_outside_the_cluster_does_not_exist(web: NodeCluster) -> None:
    """Such a name fails at once instead of waiting for a DNS server that is out of reach."""
    script = (
        "import socket, time; started = time.monotonic()\n"
        "try: socket.gethostbyname('example.com')\n"
        "except socket.gaierror: print(time.monotonic() - started < 1)\n"
    )
    assert web.kube("exec", "web", "--container=second", "--", "python3", "-c", script) == "True\n"


def test_the_nodes_network_can_be_entered(web: NodeCluster) -> None:
    """`nsenter` runs a command where ClusterIPs answer."""
    address = web.kube("get", "service", "site", "--output=jsonpath={.spec.clusterIP}")
    script = f"import urllib.request as web; print(web.urlopen('http://{address}', timeout=5).status)"
    assert web.nsenter("python3", "-c", script) == "200\n"


def test_ports_can_be_forwarded(web: NodeCluster) -> None:
    """`kubectl port-forward` joins a port of this machine with one of a pod."""
    (port,) = free_ports(1)
    command = [web.kubectl, f"--kubeconfig={web.kubeconfig}", "port-forward", "pod/web", f"{port}:8200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as forward:
        try:
            assert forward.stdout is not None
            forward.stdout.readline()  # "Forwarding from …": it listens
            assert httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
        finally:
            forward.terminate()


def test_prometheus_finds_labelled_pods(web: NodeCluster) -> None:
    """A pod with the label `presage.dev/service` becomes a target at port 8100."""
    web.kube("label", "pod", "web", "presage.dev/service=chat", "--overwrite")
    address = web.kube("get", "pod", "web", "--output=jsonpath={.status.podIP}")

    def found() -> bool:
        targets = httpx.get(f"{web.prometheus_url}/api/v1/targets", timeout=5).json()
        urls = [each["scrapeUrl"] for each in targets["data"]["activeTargets"]]
        return f"http://{address}:8100/metrics" in urls

    assert eventually(found)


def test_pods_are_scheduled_by_gpus(node_cluster: NodeCluster) -> None:
    """A pod that wants more GPUs than are free waits and says why; one that fits runs."""
    node_cluster.kube("apply", "--filename=-", stdin=holding_pod("greedy", gpus=9))
    node_cluster.kube("apply", "--filename=-", stdin=holding_pod("modest", gpus=2))
    node_cluster.kube("wait", "--for=condition=Ready", "--timeout=30s", "pod/modest")
    why = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
    assert eventually(
        lambda: "Insufficient nvidia.com/gpu" in node_cluster.kube("get", "pod", "greedy", f"--output={why}")
    )
    node_cluster.kube("delete", "pod", "greedy", "modest", "--wait=false")


@pytest.mark.parametrize("role", ["router", "engine", "operator", "replay", "demo-history"])
def test_every_role_starts_in_the_projects_image(web: NodeCluster, role: str) -> None:
    """The image holds all that the roles in pods import, compiled for its own Python."""
    help_text = web.kube("exec", "web", "--container=second", "--", "presage", role, "--help")
    assert f"presage {role}" in help_text


def test_every_module_of_the_roles_can_be_imported_in_the_image(web: NodeCluster) -> None:
    """No library that a role needs, of Python or of the system, is missing; what trains stays outside."""
    script = (
        "import importlib, pkgutil\n"
        "import presage_operator, presage_policies, presage_predictors, presage_router\n"
        "import presage_sandbox.engine\n"
        "roles = [presage_operator, presage_policies, presage_predictors, presage_router]\n"
        "roles += [presage_sandbox.engine]\n"
        "names = [m.name for r in roles for m in pkgutil.walk_packages(r.__path__, r.__name__ + '.')]\n"
        "extras = {'torch', 'transformers', 'lightgbm', 'sklearn', 'safetensors', 'pyarrow'}\n"
        "missing = []\n"
        "for name in names:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        missing += [] if error.name in extras else [name]\n"
        "print(len(names) > 50, missing)\n"
    )
    assert web.kube("exec", "web", "--container=second", "--", "python3", "-c", script) == "True []\n"


def test_nothing_is_compiled_in_a_pod(web: NodeCluster) -> None:
    """Every module of the image comes with bytecode that is taken without a look at its source."""
    script = (
        "import importlib.util as util, pathlib, sys\n"
        "site = next(path for path in sys.path if path.startswith('/usr/local'))\n"
        "modules = [p for p in pathlib.Path(site).rglob('*.py') if p.parts[6].startswith('presage_')]\n"
        "flags = {pathlib.Path(util.cache_from_source(str(m))).read_bytes()[4] for m in modules}\n"
        "print(len(modules) > 50, flags)\n"
    )
    call = ("exec", "web", "--container=second", "--", "python3", "-c", script)
    assert web.kube(*call) == "True {1}\n"  # 1: by hash, unchecked (PEP 552)


def test_gpus_come_back_after_a_restart_of_the_kubelet(node_cluster: NodeCluster) -> None:
    """GPUs are offered again although a starting kubelet takes unknown resources back."""
    node_cluster.restart("kubelet")
    path = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
    time.sleep(1)
    assert eventually(lambda: node_cluster.kube("get", "node", "presage", f"--output={path}") == "8")


def test_a_loaded_image_runs_without_a_registry(
    node_cluster: NodeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that was loaded is found under its name with imagePullPolicy IfNotPresent."""
    runs = Runs(entrypoint=("/bin/hold",), environment={"WHO": "test"})
    program = pause.program(on_terminal())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = static_image("presage.dev/test-image:1", {"bin/hold": program}, (), runs)
    node_cluster.load(archive)
    manifest = holding_pod("loaded", image="presage.dev/test-image:1")
    node_cluster.kube("apply", "--filename=-", stdin=manifest)
    node_cluster.kube("wait", "--for=condition=Ready", "--timeout=30s", "pod/loaded")
    started = time.monotonic()
    node_cluster.kube("delete", "pod", "loaded")
    assert time.monotonic() - started < 10, "the program that holds the pod leaves when asked"


def test_prometheus_runs_in_a_pod(node_cluster: NodeCluster) -> None:
    """The Prometheus image runs promtool and Prometheus in exec form, without a shell and without root."""
    node_cluster.load(prometheus.build(node_cluster.layout.binaries))
    node_cluster.kube("apply", "--filename=-", stdin=PROMETHEUS)
    node_cluster.kube("wait", "--for=condition=Ready", "--timeout=30s", "pod/prometheus")
    node_cluster.kube("delete", "pod", "prometheus", "--wait=false")


def test_what_is_no_image_is_refused(node_cluster: NodeCluster, tmp_path: Path) -> None:
    """A file that is no image is refused with its name; a missing one too."""
    nonsense = tmp_path / "nonsense.tar"
    nonsense.write_text("no image")
    with pytest.raises(SandboxError, match=r"could not import .*nonsense\.tar"):
        node_cluster.load(nonsense)
    with pytest.raises(SandboxError, match=r"cannot read the image .*missing\.tar: No such file"):
        node_cluster.load(tmp_path / "missing.tar")


def test_only_the_published_ports_listen_on_the_host(node_cluster: NodeCluster) -> None:
    """Kubelet, kube-proxy and DNS listen in the node's network only."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {int(fields[1].partition(":")[2], 16) for fields in lines if fields[3] == "0A"}
    assert not listening & {kubelet.PORT, kubelet.HEALTH_PORT, network.HEALTH_PORT, dns.READY_PORT}
    assert set(node_cluster.layout.published.values()) <= listening
