"""A CA of the tests' own."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import trustme

from pushsvc.config import Server


class Authority:
    """A CA, and what it signed for loopback."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.certfile, self.keyfile = folder / "cert.pem", folder / "key.pem"
        self.trust = self.context()
        self.issue()

    def context(self) -> ssl.SSLContext:
        """Another client's, which offers no HTTP/2."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def issue(self) -> None:
        """Write a new certificate in place of the former."""
        issued = self.ca.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(self.keyfile)
        self.certfile.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    @property
    def server(self) -> Server:
        return Server(port=0, certfile=str(self.certfile), keyfile=str(self.keyfile))

    def serial(self, port: int) -> str:
        """Of the certificate that is shown to who connects now."""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
            self.trust.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped,
        ):
            shown: dict[str, Any] | None = wrapped.getpeercert()
            assert shown is not None
            return str(shown["serialNumber"])
