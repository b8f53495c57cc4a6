"""An authority of one test run's, and what is served under it on this machine."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from negotiator.clock import SystemClock


class Authority:
    """Certificates for `localhost`, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.authorities = folder / "here.pem", folder / "here.key", folder / "ca.pem"
        ca_key, ca_name = ec.generate_private_key(ec.SECP256R1()), _name("an authority of this test")
        ca = _signed(ca_name, ca_key.public_key(), ca_name, ca_key, ca=True)
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(_name("localhost"), key.public_key(), ca_name, ca_key, ca=False)
        self.authorities.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def context(self) -> ssl.SSLContext:
        """For clients that trust it."""
        return ssl.create_default_context(cafile=str(self.authorities))


class ServedOverTls:
    """A port of `localhost`, and later the application on it: what is served may have to know where."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: Callable[..., Any]) -> None:
        """Serve from now on; each connection for one request, so that none is left open in the end."""

        async def closing(scope: Any, receive: Any, send: Any) -> None:
            async def said(event: Any) -> None:
                if event["type"] == "http.response.start":
                    event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
                await send(event)

            await app(scope, receive, said)

        config = uvicorn.Config(
            closing,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=str(self._authority.certificate),
            ssl_keyfile=str(self._authority.key),
        )
        self._server = server = uvicorn.Server(config)

        def run() -> None:
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(server.serve([self._listener]))

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop serving."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self._listener.close()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(subject: x509.Name, public: Any, issuer: x509.Name, key: Any, *, ca: bool) -> x509.Certificate:
    now = datetime.fromtimestamp(SystemClock().time(), UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())
