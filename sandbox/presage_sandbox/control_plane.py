"""etcd, the API server, the controllers and the scheduler: how each is started."""

import asyncio

from presage_sandbox.access import grant_access
from presage_sandbox.certificates import make_certificates
from presage_sandbox.health import answers_ok
from presage_sandbox.identities import write_identities
from presage_sandbox.layout import LOOPBACK, SERVICE_CIDR, Layout
from presage_sandbox.program import Program
from presage_sandbox.supervisor import Supervisor

# Without a node no pod ever calls the API server, but it wants an address to advertise, and the API
# refuses loopback ones in Endpoints; this is one of the addresses reserved for documentation.
UNREACHABLE_ADDRESS = "192.0.2.1"
CLIENT_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")  # at the default 20 QPS 500 pods take 25 s


async def start_control_plane(supervisor: Supervisor) -> None:
    """Make certificates and identities, then start etcd, the API server, and the two that need it."""
    layout = supervisor.layout
    make_certificates(layout.certificates)
    write_identities(layout)
    await supervisor.run(etcd(layout))
    await supervisor.run(apiserver(layout))
    try:
        async with asyncio.TaskGroup() as rest:
            rest.create_task(grant_access(layout))
            rest.create_task(supervisor.run(controller_manager(layout)))
            rest.create_task(supervisor.run(scheduler(layout)))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # one clear reason; the others are in the logs


def etcd(layout: Layout) -> Program:
    """One member on loopback; clients need a certificate. No fsync: a sandbox outlives no power cut."""
    client = f"https://{LOOPBACK}:{layout.ports['etcd']}"
    peer = f"https://{LOOPBACK}:{layout.ports['etcd-peer']}"
    pem = layout.certificates
    return Program(
        "etcd",
        (
            str(layout.binary("etcd")),
            "--name=sandbox",
            f"--data-dir={layout.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=sandbox={peer}",
            "--client-cert-auth",
            f"--trusted-ca-file={pem / 'ca.crt'}",
            f"--cert-file={pem / 'etcd.crt'}",
            f"--key-file={pem / 'etcd.key'}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={pem / 'ca.crt'}",
            f"--peer-cert-file={pem / 'etcd.crt'}",
            f"--peer-key-file={pem / 'etcd.key'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        address=client,
        healthy=answers_ok(f"{client}/health", pem, client="etcd"),
    )


def apiserver(layout: Layout) -> Program:
    """RBAC on, one token a component; with a node also what it takes to talk to kubelets."""
    pem = layout.certificates
    return Program(
        "kube-apiserver",
        (
            str(layout.binary("kube-apiserver")),
            f"--etcd-servers=https://{LOOPBACK}:{layout.ports['etcd']}",
            f"--etcd-cafile={pem / 'ca.crt'}",
            f"--etcd-certfile={pem / 'etcd.crt'}",
            f"--etcd-keyfile={pem / 'etcd.key'}",
            f"--bind-address={layout.address}",
            f"--secure-port={layout.ports['apiserver']}",
            f"--tls-cert-file={pem / 'apiserver.crt'}",
            f"--tls-private-key-file={pem / 'apiserver.key'}",
            f"--client-ca-file={pem / 'ca.crt'}",
            f"--service-account-key-file={pem / 'service-account.pub'}",
            f"--service-account-signing-key-file={pem / 'service-account.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={layout.state / 'tokens.csv'}",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            # Ends watches when told to stop; otherwise they hold a restart up for a minute.
            "--shutdown-watch-termination-grace-period=2s",
            *_apiserver_and_pods(layout),
        ),
        address=layout.published_apiserver_url,
        healthy=answers_ok(f"{layout.apiserver_url}/readyz", pem),
        stop_seconds=15.0,
    )


def _apiserver_and_pods(layout: Layout) -> tuple[str, ...]:
    """How pods find the API server, and it the kubelet; without a node there is neither."""
    if not layout.options.node:
        return ("--endpoint-reconciler-type=none", f"--advertise-address={UNREACHABLE_ADDRESS}")
    return (
        f"--advertise-address={layout.address}",
        f"--kubelet-client-certificate={layout.certificates / 'kubelet-client.crt'}",
        f"--kubelet-client-key={layout.certificates / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
    )


def controller_manager(layout: Layout) -> Program:
    """Every default controller; it may sign certificate requests with the sandbox's authority."""
    pem = layout.certificates
    return _client_of_apiserver(
        layout,
        "controller-manager",
        f"--service-account-private-key-file={pem / 'service-account.key'}",
        f"--root-ca-file={pem / 'ca.crt'}",
        f"--cluster-signing-cert-file={pem / 'ca.crt'}",
        f"--cluster-signing-key-file={pem / 'ca.key'}",
        "--use-service-account-credentials",
    )


def scheduler(layout: Layout) -> Program:
    """Run the default scheduler."""
    return _client_of_apiserver(layout, "scheduler")


def _client_of_apiserver(layout: Layout, name: str, *flags: str) -> Program:
    """Build what controllers and scheduler have in common; neither elects a leader, being alone."""
    pem = layout.certificates
    port = layout.ports[name]
    return Program(
        f"kube-{name}",
        (
            str(layout.binary(f"kube-{name}")),
            f"--kubeconfig={layout.kubeconfigs / f'{name}.kubeconfig'}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--tls-cert-file={pem / 'component.crt'}",
            f"--tls-private-key-file={pem / 'component.key'}",
            "--leader-elect=false",
            *CLIENT_RATE,
            *flags,
        ),
        address=f"https://{LOOPBACK}:{port}",
        healthy=answers_ok(f"https://{LOOPBACK}:{port}/healthz", pem),
    )
