"""Certificates for servers that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEYSTORE_PASSWORD = "between servers"


class Authority:
    """A certificate authority of one's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate, self._key, self._folder = folder / f"{name}.pem", folder / f"{name}.key", folder
        _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 9, "-subj", f"/CN={name}",
            "-keyout", self._key, "-out", self.certificate)  # fmt: skip

    def keystore(self, host: str) -> Path:
        """A key store for a server, with a certificate for a host."""
        request, signed, key, store = (self._folder / f"{host}.{kind}" for kind in ("csr", "crt", "key", "p12"))
        names = self._folder / f"{host}.ext"
        names.write_text(f"subjectAltName=IP:{host}")
        _run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-keyout", key, "-out", request)
        _run("openssl", "x509", "-req", "-days", 9, "-in", request, "-CA", self.certificate, "-CAkey", self._key,
            "-CAcreateserial", "-extfile", names, "-out", signed)  # fmt: skip
        _run("openssl", "pkcs12", "-export", "-in", signed, "-inkey", key, "-out", store, "-passout",
            f"pass:{KEYSTORE_PASSWORD}")  # fmt: skip
        return store


def _run(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
