"""TLS in the process: a certificate that can be replaced while it is in use."""

from __future__ import annotations

import ssl
from pathlib import Path

ALPN = ["h2", "http/1.1"]


class CertificateError(Exception):
    """The certificate or its key can't be used; the message is one line that names the file."""


class Certificate:
    """A server's certificate chain and key, from two PEM files."""

    def __init__(self, certfile: Path, keyfile: Path) -> None:
        """Raises CertificateError."""
        self._certfile = certfile
        self._keyfile = keyfile
        self.context = self._load()
        """What new connections are to be wrapped with."""

    def reload(self) -> None:
        """Read the files again, for connections that come from now on.

        Raises CertificateError; then the former certificate stays in use.
        """
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        for file in (self._certfile, self._keyfile):
            try:
                file.open("rb").close()
            except OSError as error:
                raise CertificateError(f"{file}: {error.strerror or error}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113 section 9.2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(ALPN)
        try:
            # An encrypted key would have OpenSSL ask on the terminal.
            context.load_cert_chain(self._certfile, self._keyfile, password=_no_password)
        except _Encrypted:
            raise CertificateError(
                f"{self._keyfile}: the key is encrypted; a service needs one that isn't"
            ) from None
        except ssl.SSLError as error:
            what = error.reason or str(error)
            if what == "KEY_VALUES_MISMATCH":
                what = f"the key isn't the one of {self._certfile}"
                raise CertificateError(f"{self._keyfile}: {what}") from None
            raise CertificateError(
                f"{self._certfile}, {self._keyfile}: not a certificate and its key in PEM ({what})"
            ) from None
        return context


class _Encrypted(Exception):
    pass


def _no_password() -> str:
    raise _Encrypted
