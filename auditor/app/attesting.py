"""Signatures: a run that is signed, a reviewer who signs off, and `auditor verify --key`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor import __version__
from auditor.app.clock import wall_clock
from auditor.app.jobs import Job
from auditor.app.replaying import sealed_run
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.instant import format_instant
from auditor.model.verdict import Report, Status

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from auditor.runs import RunFolder

PASSPHRASE: str = "AUDITOR_SIGN_KEY_PASSPHRASE"  # noqa: S105  # the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOff:
    """A run that somebody has reviewed; `file` is the statement's name in the run."""

    run_id: str
    root_digest: str
    file: str
    key_id: str


def sign(folder: RunFolder, report: Report, key: Ed25519PrivateKey) -> str:
    """
    Sign what a run found, and return the name of the statement's file.

    Raises:
        OSError: it can not be written.
        ValueError: the run is not sealed.
    """
    from auditor.runs import attestations

    return attestations.attest(folder, key, attestations.TEST_RESULT, _test_result(report))


def _test_result(report: Report) -> dict[str, Any]:
    """Return a report as the predicate "Test Result"; what could not be decided has failed."""
    waived = [verdict.name for verdict in report.verdicts if verdict.is_waived]
    failed = [v.name for v in report.verdicts if v.status >= Status.FAIL and not v.is_waived]
    return {
        "result": "FAILED" if failed or report.exit_code else "WARNED" if waived else "PASSED",
        "configuration": [
            {
                "name": "policies",
                "digest": {"sha256": (report.policy_digest or "").removeprefix("sha256:")},
                "annotations": {"tool": f"auditor {report.tool_version}", "run": report.run_id},
            }
        ],
        "passedTests": [v.name for v in report.verdicts if v.status is Status.PASS],
        "warnedTests": waived,
        "failedTests": failed,
    }


def sign_off(job: Job, run: str, *, reviewer: str, note: str, key_file: str) -> Checked[SignedOff]:
    """Add the signed statement of a reviewer to a run that is as it was left."""
    from auditor.runs import attestations

    opened, key = sealed_run(job, run), sign_key(job, key_file)
    if opened.value is None or key.value is None:
        return Checked(None, (*opened.diagnostics, *key.diagnostics))
    folder = opened.value
    predicate = {
        "reviewer": reviewer,
        "note": note,
        "at": format_instant(wall_clock()),
        "tool": f"auditor {__version__}",
    }
    try:
        file = attestations.attest(folder, key.value, attestations.SIGN_OFF, predicate)
    except OSError as error:
        problem = Diagnostic(
            code="run.not-written",
            summary="Evidence not written",
            detail=f"The statement can not be written: {error.strerror or error}.",
            help="Make the folder of the run one that can be written to.",
            subject=folder.record.run_id,
        )
        return Checked(None, (problem,))
    return Checked(
        SignedOff(
            run_id=folder.record.run_id,
            root_digest=folder.root_digest or "",
            file=file,
            key_id=attestations.key_id(key.value.public_key()),
        )
    )


def sign_key(job: Job, file: str) -> Checked[Ed25519PrivateKey]:
    """Return the private key of a file; its passphrase, if it has one, comes from the environment."""
    from auditor.runs import attestations

    passphrase = job.environ.get(PASSPHRASE)
    try:
        pem = (job.folder / file).read_bytes()
        return Checked(attestations.private_key(pem, passphrase.encode() if passphrase else None))
    except (OSError, ValueError) as error:
        return Checked(None, (_bad_key("--sign-key", file, error),))


def verify_key(job: Job, file: str) -> Checked[Ed25519PublicKey]:
    """Return the public key of a file."""
    from auditor.runs import attestations

    try:
        return Checked(attestations.public_key((job.folder / Path(file)).read_bytes()))
    except (OSError, ValueError) as error:
        return Checked(None, (_bad_key("--key", file, error),))


def _bad_key(option: str, file: str, error: OSError | ValueError) -> Diagnostic:
    reason = error.strerror if isinstance(error, OSError) else error
    return Diagnostic(
        code="option.bad-key",
        summary="Bad key",
        detail=f"{file} can not be used: {reason}.",
        help=f"Make a pair with: openssl genpkey -algorithm ed25519 -out key.pem, and openssl pkey -in key.pem -pubout "
        f"-out public.pem. A passphrase comes from {PASSPHRASE}.",
        subject=option,
    )
