"""Reports as people ask for them: where they go, whom they name, and for which reader they are."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from auditor import cli, reporter
from auditor.model.verdict import Privacy
from tests.test_cli import Ran, auditor  # noqa: F401  # the fixture

NAME = "Canary Zwicky"
SECRET = "a secret of sixteen characters"


@pytest.fixture
def check(
    auditor: Callable[..., Ran],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., Ran]:
    """Check one policy on one given event, whose actor has a name, in a folder of its own."""
    event = {
        "id": "e1",
        "recordedAt": "2026-11-20T09:00:00.000Z",
        "action": {"type": "USER.DELETED"},
        "actors": {"user": {"id": "u-1", "name": NAME}},
        "resources": [{"id": "r-1", "name": NAME, "type": "USER"}],
        "result": {"status": "SUCCESS", "description": f"deleted by {NAME}"},
        "source": {"ipAddress": "192.0.2.7", "userAgent": NAME},
    }
    (tmp_path / "events.json").write_text(json.dumps([event]), encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(
        "version: 1\npack: {id: mine}\nchecks:\n  one:\n    title: Nobody deletes a user\n"
        '    query: {resource: activities, window: hot, where: action.type eq "USER.DELETED"}\n'
        "    expect:\n      none: '@'\n"
        "      message: '{actors.user.name} deleted {upper(resources[0].name)} from {source.ipAddress}'\n",
        encoding="utf-8",
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Ran:
        return auditor("check", "policy.yaml", "--records", "activities=events.json", *words)

    return run


def reports(names: Iterator[str] | Any) -> list[str]:
    return [word for name in names for word in ("--report", f"{name}=out/{name}")]


def test_the_help_names_every_format_flavour_and_level():
    """The command line starts without the reports, so it has names of its own."""
    assert tuple(reporter.FORMATS) == cli.FORMATS
    shown = " ".join(CliRunner().invoke(cli.main, ["check", "--help"]).output.split())
    for names in (reporter.FORMATS, reporter.JUNIT_FLAVORS, reporter.PRIVACIES):
        assert all(name in shown for name in names)
    assert get_args(Privacy) == reporter.PRIVACIES


def test_all_formats_are_written_at_once(check):
    ran = check(*reports(reporter.FORMATS))
    assert ran.code == 2
    written = {path.name: path.read_bytes().decode() for path in Path("out").iterdir()}
    assert written.keys() == reporter.FORMATS.keys()
    for name, format_ in reporter.FORMATS.items():
        assert (NAME.upper() in written[name].upper()) == (format_.privacy == "full")


@pytest.mark.parametrize("privacy", ["ids", "pseudonym"])
def test_a_name_stands_nowhere_where_names_are_not_wanted(check, monkeypatch, privacy):
    monkeypatch.setenv("AUDITOR_PSEUDONYM_KEY", SECRET)
    ran = check("--privacy", privacy, *reports(reporter.FORMATS))
    assert ran.code == 2
    texts = [
        path.read_bytes().decode() for path in (*Path("out").iterdir(), Path(".auditor/latest/junit.xml"))
    ]
    for text in (ran.out, ran.err, *texts):
        assert NAME.upper() not in text.upper()
        assert SECRET not in text
    # The address has no identifier beside it.
    assert ("u-1 deleted R-1 from (personal)" in " ".join(ran.out.split())) == (privacy == "ids")


def test_names_are_shown_to_continuous_integration_where_that_is_wanted(check):
    check("--privacy", "full", "--report", "junit=out.xml")
    assert NAME in Path("out.xml").read_text("utf-8")


def test_pseudonyms_are_the_same_in_every_run_of_a_project_and_their_key_is_nobody_elses(check):
    shown = []
    for _ in range(2):
        check("--privacy", "pseudonym", "--report", "csv=out.csv")
        shown.append(Path("out.csv").read_bytes().split(b"deleted")[0][-20:])
    key = Path(".auditor/pseudonym.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text("utf-8")) == 64
    assert [path.name for path in key.parent.glob("*pseudonym*")] == ["pseudonym.key"]
    assert shown[0] == shown[1]
    key.unlink()
    check("--privacy", "pseudonym", "--report", "csv=out.csv")
    assert Path("out.csv").read_bytes().split(b"deleted")[0][-20:] != shown[0]


def test_no_name_is_shown_for_want_of_a_key(check, monkeypatch):
    monkeypatch.setenv("AUDITOR_PSEUDONYM_KEY", "short")
    ran = check("--privacy", "pseudonym", "--report", "csv=out.csv")
    assert ran.code == 1
    assert "[report.bad-key]" in ran.out
    assert NAME not in ran.out + Path("out.csv").read_text("utf-8")


def test_a_report_of_an_earlier_run_is_told_at_any_level(check, auditor):  # noqa: F811
    check()
    assert NAME in auditor("report", "--report", "csv=-").out
    assert NAME not in auditor("report", "--report", "csv=-", "--privacy", "ids").out
    assert 'message="' in auditor("report", "--report", "junit=-", "--junit-flavor", "azure").out


def test_a_flavour_is_for_the_junit_report_alone(check):
    check("--junit-flavor", "gitlab", "--report", "junit=out.xml", "--report", "ctrf=out.json")
    assert 'file="policy.yaml"' in Path("out.xml").read_text("utf-8")


REFUSED = [
    (["junit=out.xml", "json=out.xml"], "every report to a path of its own"),
    (["junit=out.xml", "json=./out.xml"], "every report to a path of its own"),
    (["junit=out.xml", "junit=a/../out.xml"], "every report to a path of its own"),
    (["junit=out.xml", "json=link.xml"], "every report to a path of its own"),
    (["junit=old.json", "json=hard.json"], "every report to a path of its own"),
    (["json=.auditor/latest/junit.xml"], "every report to a path of its own"),
    (["junit=-", "json=-"], "one report to standard output"),
    (["junit="], "--report FORMAT=PATH"),
    (["markdwn=out.md"], "Write --report markdown=out.md."),
    (["json=/dev/stdout"], "standard output is -"),
    (["junit=a"], "it is a folder"),
    (["junit=new/"], "it is a folder"),
    (["junit=linked"], "it is a folder"),
    (["junit=policy.yaml/out.xml"], "is no folder"),
    (["junit=locked/out.xml"], "can not be written to"),
    (["junit=locked/below/out.xml"], "can not be written to"),
]


@pytest.mark.parametrize(("paths", "why"), REFUSED, ids=str)
def test_a_path_that_can_not_be_written_is_told_before_anything_is_asked(check, monkeypatch, paths, why):
    Path("a").mkdir()
    Path("locked").mkdir()
    Path("link.xml").symlink_to("out.xml")
    Path("linked").symlink_to("a")
    Path("old.json").write_text("old", encoding="utf-8")
    Path("hard.json").hardlink_to("old.json")
    may = os.access
    # The tests may run as root, whom nothing stops.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked" and may(path, mode))
    ran = check(*(word for path in paths for word in ("--report", path)))
    assert ran.code == 1
    assert why in " ".join((ran.out + ran.err).split())
    assert "Nobody deletes a user" not in ran.out
    assert [path.name for path in Path().rglob(".*.*") if ".auditor" not in path.parts] == []


def test_a_junit_report_may_go_where_the_latest_one_goes(check):
    assert check("--report", "junit=.auditor/latest/junit.xml").code == 2
    assert "<failure" in Path(".auditor/latest/junit.xml").read_text("utf-8")


def test_a_link_stays_one_and_its_file_is_written(check):
    Path("real.xml").write_text("old", encoding="utf-8")
    Path("link.xml").symlink_to("real.xml")
    check("--report", "junit=link.xml")
    assert Path("link.xml").is_symlink()
    assert "<failure" in Path("real.xml").read_text("utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full here")
def test_a_device_is_written_to_and_stays_one(check):
    assert check("--report", "junit=/dev/null").code == 2
    assert Path("/dev/null").is_char_device()
    ran = check("--report", "junit=/dev/full", "--report", "json=out.json")
    assert ran.code == 1
    assert "[report.not-written]" in ran.out
    assert json.loads(Path("out.json").read_text("utf-8"))["summary"]["failed"] == 1


def test_nothing_half_written_is_left_where_writing_fails(check, monkeypatch):
    Path("out.xml").write_text("old", encoding="utf-8")

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    ran = check("--report", "junit=out.xml")
    assert ran.code == 1
    assert "No space left on device" in " ".join((ran.out + ran.err).split())
    assert Path("out.xml").read_text("utf-8") == "old"
    assert [path.name for path in Path().iterdir() if path.name.startswith(".out")] == []
