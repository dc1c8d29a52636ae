"""`auditor waiver`: list, lint and add, as people type them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.config import waivers_of, with_waiver, yaml
from auditor.config.formatting import formatted
from auditor.model.waiver import Waiver
from tests.support import examples
from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture
from tests.test_waivers import SOUND, changed, project, write  # noqa: F401  # a fixture

Run = Callable[..., Ran]

TODAY = datetime.now(UTC).date()  # noqa: TID251  # waivers are judged by the wall clock
ADD = ("--check", "pack/slight", "--reason", "migration", "--approved-by", "ciso", "--ticket", "SEC-9")


def days(starts: int, expires: int, **changes: Any) -> dict[str, Any]:
    """Return a waiver from and until so many days after today."""
    first, last = (str(TODAY + timedelta(days=number)) for number in (starts, expires))
    return changed({"check": "pack/slight", "starts": first, "expires": last, **changes})


def listed(ran: Ran) -> dict[str, tuple[str, bool, int | None, int | None]]:
    """Return what a list in JSON says of each waiver."""
    return {
        one["name"]: (one["state"], one["expires_soon"], one["days_left"], one["matched"])
        for one in json.loads(ran.out)["waivers"]
    }


def reviewed(*records: str) -> dict[str, Any]:
    """Return a disposition."""
    return changed(
        {
            "kind": "disposition",
            "check": "pack/slight",
            "records": list(records),
            "starts": None,
            "expires": None,
        }
    )


STANDINGS: Mapping[str, tuple[dict[str, Any], tuple[Any, ...], str]] = {
    "begun-today": (days(0, 40), ("active", False, 41, None), "active"),
    "ends-in-a-month": (days(-5, 30), ("active", False, 31, None), "active"),
    "ends-soon": (days(-5, 29), ("active", True, 30, None), "expiring"),
    "ends-today": (days(-5, 0), ("active", True, 1, None), "expiring"),
    "ended": (days(-5, -1), ("expired", False, None, None), "expired"),
    "to-come": (days(1, 5), ("not begun", False, None, None), "not begun"),
    "reviewed": (reviewed("a"), ("active", False, None, None), "active"),
}


def test_a_list_says_how_every_waiver_stands_today(auditor: Run, project: Path):  # noqa: F811
    write(project, **{name: waiver for name, (waiver, _, _) in STANDINGS.items()})
    ran = auditor("waiver", "list", "--json")
    assert (ran.code, listed(ran)) == (0, {name: standing for name, (_, standing, _) in STANDINGS.items()})
    text = auditor("waiver", "list").out
    for name, (_, _, word) in STANDINGS.items():
        assert f"  {word:10}  {name} · " in text
    assert "7 waivers: 3 active, 2 expiring, 1 expired, 1 not begun\n" in text


def test_an_earlier_run_tells_what_is_unused(auditor: Run, project: Path):  # noqa: F811
    """The latest by itself, or that of a JSON report; of a waiver that is about something else now, none does."""
    write(project, used=days(-1, 40), unused=days(-1, 40, where='id eq "7"'), changed=days(-1, 40))
    event = {"id": "1", "recordedAt": "2026-11-02T00:00:00Z", "action": {"type": "USER.CREATED"}}
    (project / "events.json").write_text(json.dumps([event]), "utf-8")
    words = ("--records", "activities=events.json", "--environment", "prod", "--check", "slight")
    assert auditor("check", *words, "--report", "json=report.json").code == 0
    write(
        project,
        used=days(-1, 45, reason="another"),
        unused=days(-1, 40, where='id eq "7"'),
        changed=days(-1, 40, where="id pr"),
        new=days(-1, 40),
    )
    expected = {
        "used": ("active", 1),
        "unused": ("unused", 0),
        "changed": ("active", None),
        "new": ("active", None),
    }
    for more in ((), ("--stats", "report.json")):
        found = listed(auditor("waiver", "list", "--json", *more))
        assert {name: (state, matched) for name, (state, _, _, matched) in found.items()} == expected
    text = auditor("waiver", "list").out
    assert re.search(r"  unused +unused · until .*\n(?:  .*\n)+?      last run     0 violations\n", text)
    for content in ("[]", "{}", '{"waivers": [1]}', "nonsense"):
        (project / "report.json").write_text(content, "utf-8")
        ran = auditor("waiver", "list", "--stats", "report.json")
        assert (ran.code, "[option.bad-stats]" in ran.err) == (1, True)


def test_without_waivers_the_list_says_how_to_add_one(auditor: Run, project: Path):  # noqa: F811
    assert not (project / "waivers.yaml").exists()
    assert auditor("waiver", "list").out == "There are no waivers. To add one: auditor waiver add --help\n"
    assert auditor("waiver", "lint").out == "Valid: 0 waivers.\n"


def test_lint_warns_of_what_has_expired_and_can_insist(auditor: Run, project: Path):  # noqa: F811
    write(project, old=days(-5, -1), new=days(-5, 1))
    ran = auditor("waiver", "lint")
    assert (ran.code, ran.out) == (0, "Valid: 2 waivers.\n")
    assert "Warning: Waiver has expired [waiver.expired]" in ran.err
    assert "on waivers.yaml line 11, column 14:" in ran.err
    ran = auditor("waiver", "lint", "--strict-waivers", "--json")
    assert (ran.code, "1 waiver expired (exit 2)" in ran.err) == (2, True)
    document = json.loads(ran.out)
    assert (document["warning_count"], len(document["waivers"])) == (1, 2)


def test_mistakes_of_waivers_keep_every_command_from_working(auditor: Run, project: Path):  # noqa: F811
    write(project, one=days(-1, 1, check="pack/slihgt"))
    for words in (
        ("list",),
        ("lint",),
        ("list", "--json"),
        ("lint", "--json"),
        ("add", "two", *ADD, "--expires", "1d", "--environment", "prod"),
    ):
        ran = auditor("waiver", *words)
        assert ran.code == 1
        assert "waiver.unknown-check" in ran.out + ran.err


# --- what a change does --------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = ["git", *identity, "-C", str(folder), *words]
    subprocess.run(command, check=True, env=environ, capture_output=True)


CHANGES: Mapping[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "later": (days(0, 5), days(0, 6), "extended"),
    "earlier": (days(0, 5), days(-1, 5), "extended"),
    "shorter": (days(0, 5), days(1, 5), "narrowed"),
    "moved": (days(0, 5), days(1, 6), "extended"),
    "wider": (days(0, 5), days(0, 5, environments=["prod", "test"]), "extended"),
    "closer": (days(0, 5, environments=["prod", "test"]), days(0, 5), "narrowed"),
    "filtered": (days(0, 5), days(0, 5, where="id pr"), "narrowed"),
    "unfiltered": (days(0, 5, where="id pr"), days(0, 5), "extended"),
    "other-filter": (days(0, 5, where="id pr"), days(0, 5, where='id eq "a"'), "extended"),
    "other-check": (days(0, 5), days(0, 5, check="pack/grave"), "extended"),
    "words": (days(0, 5), days(0, 5, reason="another", ticket="SEC-2"), "changed"),
    "more-records": (reviewed("a"), reviewed("a", "b"), "extended"),
    "another-kind": (days(0, 5), reviewed("a"), "extended"),
    "as-it-was": (days(0, 5), days(0, 5), ""),
}


def test_lint_lists_what_a_change_adds_or_extends(auditor: Run, project: Path):  # noqa: F811
    git(project, "init", "-q")
    write(project, gone=SOUND, **{name: before for name, (before, _, _) in CHANGES.items()})
    git(project, "add", "-A")
    git(project, "commit", "-qm", "before")
    assert auditor("waiver", "lint", "--base", "HEAD").out.endswith("Since HEAD no waiver has changed.\n")
    write(project, new=days(0, 1), **{name: after for name, (_, after, _) in CHANGES.items()})
    ran = auditor("waiver", "lint", "--base", "HEAD", "--json")
    effects = {one["name"]: one["effect"] for one in json.loads(ran.out)["changes"]}
    expected = {name: effect for name, (_, _, effect) in CHANGES.items() if effect}
    assert effects == expected | {"new": "added", "gone": "removed"}
    assert next(iter(effects)) == "new"
    text = auditor("waiver", "lint", "--base", "HEAD")
    last, new_last = TODAY + timedelta(days=5), TODAY + timedelta(days=6)
    assert f"  extended  later\n              expires: {last} → {new_last}\n" in text.out
    assert text.code == 0
    assert auditor("waiver", "lint", "--base", "HEAD", "--detailed-exitcode").code == 2


def test_where_the_base_has_no_waivers_all_are_added(auditor: Run, project: Path):  # noqa: F811
    git(project, "init", "-q")
    git(project, "commit", "-qm", "before", "--allow-empty")
    write(project, one=days(0, 1))
    ran = auditor("waiver", "lint", "--base", "HEAD", "--detailed-exitcode")
    assert (ran.code, "added     one" in ran.out) == (2, True)


def test_a_base_that_can_not_be_read_is_no_reason_to_be_quiet(auditor: Run, project: Path):  # noqa: F811
    git(project, "init", "-q")
    (project / "waivers.yaml").write_text("version: 2\n", "utf-8")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "before")
    write(project, one=days(0, 1))
    ran = auditor("waiver", "lint", "--base", "HEAD")
    assert (ran.code, "HEAD:waivers.yaml" in ran.err) == (1, True)
    for base in ("nothing", "--help", "-v", "HEAD:waivers.yaml"):
        ran = auditor("waiver", "lint", f"--base={base}")
        assert (ran.code, "[waiver.unknown-base]" in ran.err) == (1, True)


# --- adding one ----------------------------------------------------------------------------------------


def test_a_waiver_is_added_and_all_else_stays_as_it_stands(auditor: Run, project: Path):  # noqa: F811
    before = (
        "# yaml-language-server: $schema=waivers.schema.json\nversion: 1\nwaivers:\n  # the importer\n"
        f"  first:  # one\n    kind: exception\n    check: pack/grave\n    environments: [prod]\n"
        f"    reason: 'it is: so'\n    approved_by: ciso\n    ticket: SEC-1\n    starts: {TODAY}\n"
        f"    expires: {TODAY}  # today\n"
    )
    (project / "waivers.yaml").write_text(before, "utf-8")
    ran = auditor("waiver", "add", "second", *ADD, "--environment", "prod", "--expires", "20d")
    assert (ran.code, ran.out) == (0, 'added "second" to waivers.yaml\n')
    text = (project / "waivers.yaml").read_text("utf-8")
    assert text == (
        f"{before}\n  second:\n    kind: exception\n    check: pack/slight\n    environments: [prod]\n"
        f"    reason: migration\n    approved_by: ciso\n    ticket: SEC-9\n    starts: {TODAY}\n"
        f"    expires: {TODAY + timedelta(days=20)}\n"
    )
    assert auditor("fmt", "--check", "waivers.yaml").code == 0
    assert auditor("waiver", "lint").code == 0


def test_records_make_it_a_disposition(auditor: Run, project: Path):  # noqa: F811
    words = ("--record", "a", "--record", "b", "--where", 'action.type eq "USER.CREATED"')
    ran = auditor("waiver", "add", "one", *ADD, *words, "--environment", "prod", "--environment", "test")
    assert ran.code == 0
    written = waivers_of((project / "waivers.yaml").read_text("utf-8"), "waivers.yaml").value
    assert written is not None
    one = written["one"]
    assert (one.kind, one.records, one.environments) == ("disposition", ("a", "b"), ("prod", "test"))
    assert (one.starts, one.expires, one.where) == (None, None, 'action.type eq "USER.CREATED"')


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--environment", "prod"), "schema.missing-key"),
        (("--expires", "20d"), "project.choose-environment"),
        (("--expires", "20d", "--environment", "tset"), "project.unknown-environment"),
        (("--expires", "soon", "--environment", "prod"), "option.bad-value"),
        (("--expires", "20d", "--starts", "2026-13-01", "--environment", "prod"), "option.bad-value"),
        (("--expires", "13mo", "--environment", "prod"), "waiver.too-long"),
        (("--expires", "20d", "--environment", "prod", "--where", "id eq"), "scim.syntax"),
        (("--expires", "20d", "--environment", "prod", "--approved-by", "me"), "waiver.not-approved"),
        (("--expires", "20d", "--environment", "prod", "--record", "a"), "schema.unknown-key"),
        (("--expires", "20d", "--environment", "prod", "--reason", " "), "schema.bad-value"),
    ],
)
def test_what_would_be_wrong_is_told_and_nothing_is_written(
    words: tuple[str, ...],
    code: str,
    auditor: Run,  # noqa: F811
    project: Path,  # noqa: F811
):
    ran = auditor("waiver", "add", "one", *ADD, *words)
    assert (ran.code, f"[{code}]" in ran.err) == (1, True)
    assert not (project / "waivers.yaml").exists()


def test_a_name_that_waivers_can_not_have_is_refused(auditor: Run, project: Path):  # noqa: F811
    ran = auditor("waiver", "add", "One Name", *ADD, "--expires", "1d", "--environment", "prod")
    assert (ran.code, '"one-name"' in ran.err) == (1, True)
    assert not (project / "waivers.yaml").exists()


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip)


@settings(deadline=None, max_examples=examples(100))
@given(texts, texts, st.lists(texts, min_size=1, max_size=3), st.integers(1, 3))
def test_what_is_added_is_what_is_read(reason: str, where: str, records: list[str], times: int):
    """Whatever the texts hold, and beside whatever else; the file stays canonical."""
    waiver = {**SOUND, "kind": "disposition", "reason": reason, "where": where, "records": records}
    waiver = {key: value for key, value in waiver.items() if key not in ("starts", "expires")}
    text = ""
    for number in range(times):
        edited = with_waiver(text, f"w{number}", waiver)
        assert edited.value is not None, edited.diagnostics
        text = edited.value
    assert yaml.load(text, "").value == {
        "version": 1,
        "waivers": {f"w{number}": waiver for number in range(times)},
    }
    assert formatted(text, "").value == text


day = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@settings(max_examples=examples(100))
@given(day, day, day)
def test_both_days_of_a_waiver_are_included(starts: date, expires: date, today: date):
    starts, expires = min(starts, expires), max(starts, expires)
    waiver = Waiver(
        name="w", kind="exception", check="a/b", environments=("prod",), reason="r", approved_by="w", ticket="t",
        starts=starts, expires=expires,
    )  # fmt: skip
    state = waiver.state(today)
    assert (state == "active") is (starts <= today <= expires)
    assert (state == "expired") is (today > expires)
