"""Signed statements over the root digest of a run: in-toto attestations in DSSE envelopes, with Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from auditor.model.value import JSON, parse_json
from auditor.runs.files import read_bounded
from auditor.runs.folder import ATTESTATIONS, MANIFEST, RunFolder

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
"""What a run found (in-toto attestation framework, predicate "Test Result")."""

SIGN_OFF: Final = "urn:auditor:sign-off:v1"
"""Who reviewed a run, and what they say of it."""

_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """
    A signed statement; `file` is its name in the run.

    `problem` says why it proves nothing, empty where it does: it is damaged, speaks of another run, or, where a key
    is given, is not signed with it.
    """

    file: str
    key_id: str
    predicate_type: str
    predicate: Mapping[str, JSON]
    problem: str = ""


def private_key(pem: bytes, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """
    Return the Ed25519 key of a PEM file.

    Raises:
        ValueError: it holds none, or needs another passphrase.
    """
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words may repeat what it read.
        raise ValueError("it is no private key in PEM, or its passphrase is another one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is no Ed25519 key")
    return key


def public_key(pem: bytes) -> Ed25519PublicKey:
    """
    Return the public Ed25519 key of a PEM file.

    Raises:
        ValueError: it holds none.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no Ed25519 key")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key (of its DER, as SubjectPublicKeyInfo)."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def attest(
    folder: RunFolder, key: Ed25519PrivateKey, predicate_type: str, predicate: Mapping[str, JSON]
) -> str:
    """
    Add a signed statement over the root digest of a run, and return the name of its file.

    Raises:
        OSError: it can not be written.
        ValueError: the run is not sealed.
    """
    root = folder.root_digest
    if root is None:
        raise ValueError("the run is not sealed")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": f"{folder.record.run_id}/{MANIFEST}", "digest": {"sha256": root.removeprefix("sha256:")}}
        ],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    payload = json.dumps(statement, separators=(",", ":")).encode()
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(key.sign(_pre_authenticated(payload))).decode(),
            }
        ],
    }
    taken = [path.name.partition(".")[0] for path in (folder.path / ATTESTATIONS).glob("*.dsse.json")]
    number = max((int(name) for name in taken if name.isdecimal()), default=0) + 1
    name = f"{ATTESTATIONS}/{number:04}.dsse.json"
    (folder.path / ATTESTATIONS).mkdir(mode=0o700, exist_ok=True)
    folder.write(name, json.dumps(envelope, indent=2).encode() + b"\n")
    return name


def attestations(folder: RunFolder, key: Ed25519PublicKey | None = None) -> Iterator[Attestation]:
    """Yield the signed statements of a run, each with what is wrong with it."""
    for path in sorted((folder.path / ATTESTATIONS).glob("*")):
        yield _read(folder, path, key)


def _read(folder: RunFolder, path: Path, key: Ed25519PublicKey | None) -> Attestation:
    file = f"{ATTESTATIONS}/{path.name}"
    try:
        if path.is_symlink():
            raise ValueError("it is no file of a run")
        envelope = parse_json(read_bounded(path, _MAX_BYTES))
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement: dict[str, Any] = parse_json(payload)
        (signature,) = envelope["signatures"]
        read = Attestation(
            file=file,
            key_id=str(signature["keyid"]),
            predicate_type=str(statement["predicateType"]),
            predicate=dict(statement["predicate"]),
            problem=_problem(folder, envelope, statement),
        )
        if key is not None and not read.problem:
            key.verify(base64.b64decode(signature["sig"], validate=True), _pre_authenticated(payload))
    except InvalidSignature:
        problem = "it is not signed with this key"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        problem = f"it can not be read: {error}"
    else:
        return read
    return Attestation(file=file, key_id="", predicate_type="", predicate={}, problem=problem)


def _problem(folder: RunFolder, envelope: Mapping[str, JSON], statement: Mapping[str, JSON]) -> str:
    if envelope["payloadType"] != PAYLOAD_TYPE or statement["_type"] != STATEMENT_TYPE:
        return "it is no in-toto statement"
    (subject,) = statement["subject"]
    if f"sha256:{subject['digest']['sha256']}" != folder.root_digest:
        return "it is about another run, or the run was changed since"
    return ""


def _pre_authenticated(payload: bytes) -> bytes:
    """Return what is signed (DSSE, "Protocol": PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
