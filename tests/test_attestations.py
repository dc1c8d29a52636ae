# ruff: noqa: F811  # a fixture that is imported is asked for by its name
"""Runs that are signed and signed off, the records behind a verdict, and runs that are taken away."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.test_cli import CANARY, Ran, auditor, tenant, written  # noqa: F401  # `auditor` is a fixture

Run = Callable[..., Ran]

POLICY = """\
version: 1
pack: {id: mine}
checks:
  deletions:
    title: Nothing is deleted
    query: {resource: activities, window: 7d, where: action.type ew "DELETED"}
    expect: none
  short:
    title: Identifiers are short
    query: {resource: activities, window: 7d}
    expect: {every: "length(id) < `8`"}
"""


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "recordedAt": f"2026-11-19T12:{number:02}:00.000Z",
        "action": {"type": "USER.DELETED" if number % 2 else "USER.CREATED"},
        "actors": {"user": {"id": "u", "name": "=cmd()|'x'"}},
    }


def pair(folder: Path, name: str, passphrase: str | None = None) -> None:
    """Write a pair of keys."""
    key = Ed25519PrivateKey.generate()
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    (folder / f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    (folder / f"{name}.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a run on twenty records, with two pairs of keys beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "events.json").write_text(json.dumps([event(number) for number in range(20)]), "utf-8")
    pair(tmp_path, "ours")
    pair(tmp_path, "theirs")
    return ["check", "policy.yaml", "--records", "activities=events.json"]


def envelopes(base: Path) -> list[Path]:
    return sorted((base / ".auditor" / "runs").glob("*/attestations/*"))


def test_a_signed_run_says_what_it_found_over_its_root_digest(words: list[str], auditor: Run, tmp_path: Path):
    report = json.loads(auditor(*words, "--sign-key", "ours.pem", "--json").out)
    (path,) = envelopes(tmp_path)
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    (subject,) = statement["subject"]
    assert f"sha256:{subject['digest']['sha256']}" == report["root_digest"]
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["failedTests"] == ["default/mine/deletions", "default/mine/short"]
    verified = auditor("verify", "--key", "ours.pub", "--json")
    assert verified.code == 0
    assert json.loads(verified.out)["signatures_checked"]


def test_a_key_that_did_not_sign_is_told(words: list[str], auditor: Run):
    auditor(*words, "--sign-key", "ours.pem")
    ran = auditor("verify", "--key", "theirs.pub")
    assert ran.code == 2
    assert "attestations/0001.dsse.json: unproven (it is not signed with this key)" in ran.out


def test_with_a_key_a_run_that_nobody_signed_is_not_verified(words: list[str], auditor: Run):
    auditor(*words)
    assert auditor("verify").code == 0
    ran = auditor("verify", "--key", "ours.pub")
    assert ran.code == 2
    assert "nobody signed the run" in ran.out


def test_a_reviewer_signs_off_what_is_as_it_was_left(words: list[str], auditor: Run, tmp_path: Path):
    auditor(*words, "--sign-key", "ours.pem")
    signed = auditor(
        "sign-off", "--reviewer", "R. Viewer", "--note", "Read\x1b[31m", "--sign-key", "ours.pem"
    )
    assert signed.code == 0
    ran = auditor("verify", "--key", "ours.pub")
    assert ran.code == 0
    assert "signed off by R. Viewer: Read" in ran.out
    assert "\x1b" not in ran.out
    page = next((tmp_path / ".auditor" / "runs").glob("*/report.json"))
    page.write_bytes(page.read_bytes() + b" ")
    refused = auditor("sign-off", "--reviewer", "R. Viewer", "--sign-key", "ours.pem")
    assert refused.code == 1
    assert "run.changed" in refused.err


@pytest.mark.parametrize("position", [0, 40, 200, 400, -40, -3])
def test_a_changed_statement_proves_nothing(words: list[str], auditor: Run, tmp_path: Path, position: int):
    auditor(*words, "--sign-key", "ours.pem")
    (path,) = envelopes(tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    assert auditor("verify", "--key", "ours.pub").code == 2


def test_the_statement_of_another_run_proves_nothing(words: list[str], auditor: Run, tmp_path: Path):
    auditor(*words, "--sign-key", "ours.pem")
    (theirs,) = envelopes(tmp_path)
    auditor(*words)
    ours = max((tmp_path / ".auditor" / "runs").iterdir()) / "attestations"
    ours.mkdir()
    (ours / theirs.name).write_bytes(theirs.read_bytes())
    ran = auditor("verify")
    assert ran.code == 2
    assert "it is about another run" in ran.out


def test_a_passphrase_comes_from_the_environment_and_is_in_no_output(
    words: list[str], auditor: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pair(tmp_path, "locked", CANARY)
    refused = auditor(*words, "--sign-key", "locked.pem")
    assert refused.code == 1
    assert "its passphrase is another one" in " ".join(refused.out.split())
    monkeypatch.setenv("AUDITOR_SIGN_KEY_PASSPHRASE", CANARY)
    ran = auditor(*words, "--sign-key", "locked.pem")
    assert ran.code == 2
    assert CANARY not in refused.out + refused.err + ran.out + ran.err


def test_only_ed25519_signs(words: list[str], auditor: Run, tmp_path: Path):
    other = generate_private_key(SECP256R1())
    (tmp_path / "other.pem").write_bytes(
        other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    ran = auditor(*words, "--sign-key", "other.pem")
    assert ran.code == 1
    assert "it is no Ed25519 key" in ran.out
    assert not (tmp_path / ".auditor" / "runs").exists()


# The records behind a verdict


def test_the_population_of_a_check_is_every_record_that_it_examined(words: list[str], auditor: Run):
    report = json.loads(auditor(*words, "--json").out)
    counted = {verdict["check"]: verdict["population"] for verdict in report["verdicts"]}
    for check, number in counted.items():
        ran = auditor("export", "--check", check, "--population", "--format", "ndjson")
        records = [json.loads(line) for line in ran.out.splitlines()]
        assert len(records) == number
        assert records == sorted(records, key=lambda record: record["recordedAt"])
        digest = hashlib.sha256(ran.out.encode()).hexdigest()
        assert f"{number} of {number} records" in ran.err
        assert f"sha256:{digest}" in ran.err


def test_a_table_of_records_holds_no_formula(words: list[str], auditor: Run, tmp_path: Path):
    auditor(*words)
    assert auditor("export", "--check", "mine/short", "--out", "out/records.csv").code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "records.csv").read_text("utf-8"))))
    assert len(rows) == 20
    assert rows[0]["actors.user.name"] == "'=cmd()|'x'"
    assert rows[0]["recordedAt"] == "2026-11-19T12:00:00.000Z"


def test_a_sample_can_be_drawn_again_and_another_seed_draws_another(words: list[str], auditor: Run):
    auditor(*words)
    draw = ["sample", "--check", "short", "--size", "5", "--format", "ndjson", "--seed"]
    first = auditor(*draw, "Q4").out
    assert len(first.splitlines()) == 5
    assert auditor(*draw, "Q4").out == first
    assert len({auditor(*draw, str(seed)).out for seed in range(5)}) > 1
    everything = auditor(
        "sample", "--check", "short", "--size", "99", "--seed", "1", "--format", "ndjson"
    ).out
    assert set(first.splitlines()) < set(everything.splitlines())
    assert len(everything.splitlines()) == 20


def test_a_check_that_the_run_does_not_have_is_told(words: list[str], auditor: Run):
    auditor(*words)
    ran = auditor("export", "--check", "shrt")
    assert ran.code == 1
    assert 'did you mean "short"?' in ran.err
    assert auditor("export", "--check", "short", "--out", ".").code == 1


# Runs that can be shared


def test_a_redacted_run_holds_pseudonyms_and_is_judged_again_as_far_as_it_can_be(
    auditor: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDITOR_PSEUDONYM_KEY", "k" * 40)
    (tmp_path / "policy.yaml").write_text(
        POLICY.replace("window: 7d}", "window: 7d, where: actors.user.name pr}").replace(
            "expect: none", 'expect: {none: "@", message: "{actors.user.name} deleted"}'
        ),
        "utf-8",
    )
    with tenant(monkeypatch):
        auditor("check", "policy.yaml")
    (run,) = (tmp_path / ".auditor" / "runs").iterdir()
    names = {
        record["actors"]["user"]["name"]
        for page in run.glob("pages/*/*")
        for record in json.loads(written(page))["_embedded"].get("activities", ())
        if "user" in record.get("actors", {})
    }
    ran = auditor("export", "--redact", "actors.user.name", "--out", "shared")
    assert ran.code == 0, ran
    everything = "".join(written(path) for path in (tmp_path / "shared").rglob("*"))
    assert names
    assert not [name for name in names if name in everything]
    assert "p-" in everything
    assert auditor("verify", "shared").code == 0
    assert auditor("verify", run.name).code == 0
    again = json.loads(auditor("replay", "shared", "--json").out)
    codes = {verdict["check"]: verdict["code"] for verdict in again["verdicts"]}
    assert codes == {"deletions": "policy.violation", "short": "replay.redacted"}


def test_a_field_that_can_not_be_redacted_is_told(words: list[str], auditor: Run):
    auditor(*words)
    ran = auditor("export", "--redact", "id,actors.user.nmae")
    assert ran.code == 1
    assert "by these, records are told apart" in ran.err
    assert "did you mean" in ran.err
    assert auditor("export").code == 1


# Runs that are taken away


def test_old_runs_are_taken_away_and_others_stay(words: list[str], auditor: Run, tmp_path: Path):
    auditor(*words)
    auditor(*words)
    runs = sorted((tmp_path / ".auditor" / "runs").iterdir())
    record = json.loads((runs[0] / "run.json").read_bytes())
    (runs[0] / "run.json").write_text(json.dumps({**record, "started_at": "2025-01-01T00:00:00Z"}), "utf-8")
    (tmp_path / ".auditor" / "runs" / "notes").mkdir()
    assert auditor("prune", "--older-than", "400d", "--dry-run").out == f"{record['run_id']}\n"
    assert runs[0].exists()
    assert auditor("prune", "--older-than", "400d").code == 0
    assert not runs[0].exists()
    assert runs[1].exists()
    assert auditor("prune", "--older-than", "never").code == 1
