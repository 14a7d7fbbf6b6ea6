"""Certificates that are made when a test needs them."""

import datetime
from pathlib import Path

import trustme


def issue(
    authority: trustme.CA,
    folder: Path,
    name: str,
    *hosts: str,
    kind: trustme.KeyType = trustme.KeyType.ECDSA,
    days: int = 90,
) -> trustme.LeafCert:
    """Writes `NAME.pem` and `NAME.key`, for these hosts and some days."""
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    issued = authority.issue_cert(
        *hosts,
        common_name=name,
        not_before=start,
        not_after=start + datetime.timedelta(days=days),
        key_type=kind,
    )
    (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    return issued


def write_authority(authority: trustme.CA, folder: Path, name: str) -> Path:
    """Writes the authority's own certificate as `NAME.pem`."""
    path = folder / f"{name}.pem"
    authority.cert_pem.write_to_path(str(path))
    return path
