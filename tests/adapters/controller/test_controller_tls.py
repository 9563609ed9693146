"""The Controller adapter over TLS: private CAs, certificates that do not serve."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.controller import ControllerStandIn
from pulumi_iofog.adapters.controller.controller import Controller
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.errors import ControllerError
from pulumi_iofog.inputs.spec import ControllerSettings


def _controller(stand_in: ControllerStandIn, **settings: Any) -> Controller:
    given = {"email": stand_in.email, "password": stand_in.password, **settings}
    return Controller(ControllerSettings(stand_in.endpoint, **given), backoff=Backoff(first=0))


def _certificate(folder: Path, host: str) -> Path:
    """A certificate that signs itself, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private CA")])
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.timezone.utc)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    file = folder / "controller.pem"
    file.write_bytes(certificate.public_bytes(pem))
    both = folder / "with-key.pem"
    both.write_bytes(file.read_bytes() + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return both


@pytest.fixture
def other_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests lets this variable go before a session's own setting."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")


@pytest.mark.usefixtures("other_bundle")
@pytest.mark.parametrize("settings", [{"ca_file": "controller.pem"}, {"insecure": True}])
def test_a_private_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    monkeypatch.chdir(tmp_path)
    with ControllerStandIn(certificate=_certificate(tmp_path, "127.0.0.1")) as stand_in:
        controller = _controller(stand_in, **settings)
        assert controller.agents() == ()
        controller.close()


@pytest.mark.parametrize(
    ("settings", "host", "why"),
    [
        ({}, "127.0.0.1", r"TLS: .*certificate verify failed.*\. For a private CA, set ca_file="),
        ({"ca_file": "controller.pem"}, "127.0.0.9", r"TLS: .*mismatch.*\. Use the name in its certificate"),
        ({"ca_file": "absent.pem"}, "127.0.0.1", r"cannot read absent\.pem\. Check ca_file="),
        ({"ca_file": "garbage.pem"}, "127.0.0.1", r"TLS: .*is ca_file= a PEM file\?"),
    ],
)
def test_certificates_that_do_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], host: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage.pem").write_text("no certificate")
    with ControllerStandIn(certificate=_certificate(tmp_path, host)) as stand_in:
        controller = _controller(stand_in, **settings)
        with pytest.raises(ControllerError, match=why) as caught:
            controller.agents()
        assert stand_in.requests == []
        assert "\n" not in str(caught.value)
        controller.close()


def test_https_where_only_http_is_spoken() -> None:
    with ControllerStandIn() as stand_in:
        settings = ControllerSettings(stand_in.endpoint.replace("http:", "https:"), token="t")
        controller = Controller(settings, backoff=Backoff(first=0))
        with pytest.raises(ControllerError, match=r"TLS: .*\. Does the endpoint speak TLS"):
            controller.agents()
        controller.close()


def test_http_where_only_https_is_spoken(tmp_path: Path) -> None:
    with ControllerStandIn(certificate=_certificate(tmp_path, "127.0.0.1")) as stand_in:
        settings = ControllerSettings(stand_in.endpoint.replace("https:", "http:"), token="t")
        controller = Controller(settings, backoff=Backoff(first=0))
        with pytest.raises(ControllerError, match=r"asking for its version: .* Does it expect https://\?"):
            controller.agents()
        controller.close()
