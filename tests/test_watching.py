"""What is seen while a run reads: a live view on a terminal, lines elsewhere, and no secret anywhere."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import stamina

from auditor import cli
from auditor.app import Job, watching
from auditor.model.evidence import Failure, Page, QueryEnd
from auditor.model.secret import Concealed
from tests.pages import plan_of, query
from tests.test_cli import Ran, auditor, project, tenant  # noqa: F401  # fixtures
from tests.test_fetcher_secrets import CANARY, tenant_of
from tests.test_trust import write_project

TWO_CHECKS = """\
version: 1
pack: {id: two}
checks:
  one: {title: One, query: {resource: activities, window: 1d}, expect: some}
  two: {title: Two, query: {resource: activities, window: 2d}, expect: some}
"""

LEVELS = ("debug", "info", "warning", "error")

ASKED = query("metrics_active_identity_counts", between=("2026-11-02", "2026-11-09"))
PAGE = Page(query=ASKED.id, number=1, records=({}, {}))
END = QueryEnd(
    query=ASKED.id, failure=None, assurance="counted", pages=1, records=2, retries=1, elapsed_s=1.25
)


class Terminal(io.StringIO):
    """Text that is written to a terminal."""

    def isatty(self) -> bool:
        return True


def job(**environ: str) -> Job:
    return Job(folder=Path(), environ={"TERM": "xterm", **environ})


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 100) -> Terminal:
    """Make standard error a terminal; within a test, since pytest has its own before."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "20")
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    return found


# --- on a terminal --------------------------------------------------------------------------------------


def test_a_terminal_shows_each_query_that_is_being_read_and_forgets_it(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with watching(job()) as on_event:
        on_event(plan_of(ASKED))
        on_event(PAGE)
        logging.getLogger("auditor.fetcher.session").info("limits the rate, try 1 of 6")
    shown = terminal.getvalue()
    assert "0 of 1 query · 1 page · 2 records" in shown
    assert "prod/metrics_active_identity_counts/1" in shown
    assert "5 left" in shown
    assert "limits the rate, try 1 of 6" in shown
    assert shown.rstrip("\r\n\x1b[A2K?5h").count("\n") < 30


def test_a_query_that_has_ended_is_not_shown_any_more(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with watching(job()) as on_event:
        on_event(plan_of(ASKED))
        on_event(PAGE)
        on_event(END)
        terminal.truncate(0)
    shown = terminal.getvalue()
    assert "1 of 1 query" in shown
    assert "metrics" not in shown


def test_what_is_left_is_what_the_endpoint_counts(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with watching(job()) as on_event:
        on_event(plan_of(ASKED))
        on_event(replace(PAGE, count=1_234))
    assert "1,232 left" in terminal.getvalue()


@pytest.mark.parametrize("columns", [40, 20])
def test_a_narrow_terminal_shows_less_and_breaks_no_line(monkeypatch: pytest.MonkeyPatch, columns: int):
    terminal = on_terminal(monkeypatch, columns)
    with watching(job(NO_COLOR="1")) as on_event:
        on_event(plan_of(ASKED))
        on_event(PAGE)
    lines = terminal.getvalue().replace("\x1b[2K", "\n").replace("\x1b[1A", "").split("\n")
    assert max(len(line.strip("\r\x1b[?25lh")) for line in lines) <= columns
    assert "left" not in terminal.getvalue()


def test_without_colour_a_live_view_has_none(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with watching(job(NO_COLOR="1")) as on_event:
        on_event(plan_of(ASKED))
    assert "\x1b[1m" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("environ", "how"), [({"TERM": "dumb"}, {}), ({}, {"form": "json"}), ({}, {"quiet": True})]
)
def test_nothing_moves_on_a_dumb_terminal_in_json_or_where_quiet_is_wanted(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], how: dict[str, object]
):
    terminal = on_terminal(monkeypatch)
    with watching(job(**environ), **how) as on_event:  # type: ignore[arg-type]
        on_event(plan_of(ASKED))
        on_event(PAGE)
        on_event(END)
    assert "\x1b" not in terminal.getvalue()
    assert ("counted" in terminal.getvalue()) is ("quiet" not in how)


# --- elsewhere ------------------------------------------------------------------------------------------


def lines(capsys: pytest.CaptureFixture[str], end: QueryEnd, **how: object) -> list[str]:
    with watching(job(), **how) as on_event:  # type: ignore[arg-type]
        on_event(plan_of(ASKED))
        on_event(PAGE)
        on_event(end)
    return capsys.readouterr().err.splitlines()


def test_each_query_that_has_ended_is_one_line(capsys: pytest.CaptureFixture[str]):
    (line,) = lines(capsys, END)
    assert line == f"{ASKED.id}: 1 page, 2 records, complete (counted), 1.2 s, 1 retry"
    failed = QueryEnd(query=ASKED.id, failure=Failure(code="query.timeout", reason="x"), assurance=None)
    (line,) = lines(capsys, failed)
    assert line == f"{ASKED.id}: 0 pages, 0 records, NOT complete [query.timeout], 0.0 s"


def test_each_query_that_has_ended_is_one_object(capsys: pytest.CaptureFixture[str]):
    (line,) = lines(capsys, END, form="json")
    told = json.loads(line)
    assert (told["level"], told["query"], told["records"], told["complete"]) == ("info", ASKED.id, 2, True)


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_shows_itself_and_what_is_graver(capsys: pytest.CaptureFixture[str], level: str, count: int):
    with watching(job(), level=level):  # type: ignore[arg-type]
        for name in LEVELS:
            logging.getLogger("auditor.fetcher").log(getattr(logging, name.upper()), "a %s", name)
    assert len(capsys.readouterr().err.splitlines()) == count


def test_what_is_logged_can_not_move_a_terminal_or_add_a_line(capsys: pytest.CaptureFixture[str]):
    with watching(job()):
        logging.getLogger("auditor.fetcher").info("one\x1b[2J\nauditor: all is well")
    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line


def test_other_libraries_are_heard_when_they_warn_and_not_before(capsys: pytest.CaptureFixture[str]):
    with watching(job(), level="debug"):
        httpx = logging.getLogger("httpx")
        httpx.setLevel(logging.DEBUG)
        try:
            httpx.info("HTTP Request: GET https://api.pingone.com/v1?filter=name")
            httpx.warning("beware")
        finally:
            httpx.setLevel(logging.NOTSET)
    assert capsys.readouterr().err == "warning: beware\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_taken_out_of_whatever_is_logged(capsys: pytest.CaptureFixture[str], form: str):
    """By whichever library, in an exception, or in a form that JSON would spell otherwise."""
    concealed = Concealed()
    secret = 'can"ary-\\n-\u00e4'
    concealed.learn(secret)
    asked = Job(folder=Path(), environ={}, concealed=concealed)
    with watching(asked, form=form):  # type: ignore[arg-type]
        logging.getLogger("some.library").error("sent %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            logging.getLogger("auditor.app").exception("broken")
    shown = capsys.readouterr().err
    assert shown.count("(concealed)") >= 2
    assert "ary-" not in shown


def test_nothing_is_left_of_a_log_when_its_run_is_over():
    before = logging.getLogger().handlers[:]
    with watching(job()):
        assert len(logging.getLogger().handlers) == len(before) + 1
    assert logging.getLogger().handlers == before


# --- the whole program ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
def test_standard_output_holds_the_document_alone(
    auditor: Callable[..., Ran],  # noqa: F811
):
    ran = auditor(
        "check", "--simulate", "--json", "--log-level", "debug", "--log-format", "json", "--events", "300"
    )
    assert json.loads(ran.out)["format_version"]
    logged = [json.loads(line) for line in ran.err.splitlines()]
    assert {line["level"] for line in logged} >= {"debug", "info"}
    assert logged[-1]["exit_code"] == ran.code
    assert f"(exit {ran.code})" in logged[-1]["message"]


@pytest.mark.usefixtures("project")
def test_quiet_leaves_the_document_and_why_the_exit_code_is_what_it_is(
    auditor: Callable[..., Ran],  # noqa: F811
):
    ran = auditor("check", "--simulate", "--json", "--quiet", "--events", "300")
    assert json.loads(ran.out)["format_version"]
    (line,) = ran.err.splitlines()
    assert line.startswith("auditor: ")


def test_an_endpoint_that_is_to_end_is_told_once_and_stands_in_the_report(
    auditor: Callable[..., Ran],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(TWO_CHECKS)
    with tenant(monkeypatch, "deprecation@/activities"):
        ran = auditor(
            "check", "--no-merge", "two.yaml", "--rate", "activities=0", "--report", "json=report.json"
        )
    assert ran.err.count("warning: PingOne announces the end of activities") == 1
    assert "2027-06-30" in ran.err
    written = json.loads((tmp_path / "report.json").read_text("utf-8"))
    told = [asked["end"]["warnings"] for asked in written["asked"]]
    assert len(told) == 2
    assert all("2027-06-30" in warnings[0] for warnings in told)
    queries = ran.out.split("Queries")[1].split("\ndefault / ")[0]
    assert queries.count("announces the end") == 1


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", LEVELS)
def test_no_secret_is_logged_at_any_level_in_any_form(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    level: str,
    form: str,
):
    """Through tries that fail, a token that is refused, and pages."""
    caplog.set_level(0)
    write_project(tmp_path, {})
    monkeypatch.chdir(tmp_path)
    with (
        tenant_of(monkeypatch, "503 x1", "token-expires=1 x1", "reset x1"),
        stamina.set_testing(True, attempts=4),
    ):
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        cli.run(["check", "--as-of", "2026-11-21T10:20:00Z", "--log-level", level, "--log-format", form])
    shown = "".join(capsys.readouterr())
    assert ("new token" in shown) is (level == "debug")
    assert ("status 503" in shown) is (level in ("debug", "info"))
    for canary in (CANARY, "canary-4f1c", "Bearer ", "Basic ", "eyJ"):
        assert canary not in shown + caplog.text
