"""The sandbox's certificate authority, its certificates, and the service-account keys.

Made anew by every `up`; valid for a year and only on this machine's loopback and the node's network.
"""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from presage_sandbox.layout import KUBERNETES_SERVICE_IP, LOOPBACK, NODE_ADDRESS

VALID = dt.timedelta(days=365)
SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
SERVER_ADDRESSES = (LOOPBACK, NODE_ADDRESS, KUBERNETES_SERVICE_IP)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """Signs certificates into one folder: `ca.crt`, `ca.key`, and NAME.crt and NAME.key for each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("presage-sandbox")
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        _write(folder / "ca", self._key, certificate)

    def issue(self, file_name: str, common_name: str, organization: str = "") -> None:
        """Write a certificate that is good as server (on every address of the sandbox) and as client."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in SERVER_ADDRESSES]
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(_name(common_name, organization), self._name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        _write(self._folder / file_name, key, certificate)


def make_certificates(folder: Path) -> None:
    """Write every certificate that the control plane and the node need, and the service-account keys.

    `etcd` serves and authenticates clients of etcd, `apiserver` serves the API, `component` the
    health endpoints of controllers and scheduler, `kubelet-client` is how the API server calls kubelets.
    """
    authority = Authority(folder)
    authority.issue("etcd", "etcd")
    authority.issue("apiserver", "kube-apiserver")
    authority.issue("component", "presage-sandbox-component")
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    _write_service_account_keys(folder)


def _write_service_account_keys(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(folder / "service-account.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "service-account.pub").write_bytes(public)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks of one machine may step
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """Key usage of the authority (signs certificates) or of a server and client (signs handshakes)."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _write(stem: Path, key: PrivateKey, certificate: x509.Certificate) -> None:
    stem.with_name(stem.name + ".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(stem.with_name(stem.name + ".key"), key)


def _write_key(path: Path, key: PrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
