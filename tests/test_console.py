"""`auditor console`: filters and expressions on given records, from a pipe and line by line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from auditor import app, cli

EVENTS = [
    {"id": number, "recordedAt": f"2026-11-0{number}T00:00:00Z", "action": {"type": action}, **actors}
    for number, action, actors in (
        ("1", "USER.CREATED", {"actors": {"client": {"id": "a"}}}),
        ("2", "USER.DELETED", {"actors": {"client": {"id": "b"}}}),
        ("3", "USER.DELETED", {}),
    )
]


@pytest.fixture
def events(tmp_path: Path) -> str:
    path = tmp_path / "events.json"
    path.write_text(json.dumps(EVENTS), encoding="utf-8")
    return f"activities={path}"


@pytest.fixture
def ask(events: str):
    """Answer lines one after the other and return the last answer."""

    def answer(*lines: str, records: tuple[str, ...] = ()) -> str:
        console = app.Console.open([events, *records]).value
        assert console is not None
        return [console.answer(line, width=100, color=False) for line in lines][-1]

    return answer


def test_an_expression_is_evaluated_on_the_list(ask):
    assert ask("length(@)") == "3\n"
    assert json.loads(ask("[].action.type")) == ["USER.CREATED", "USER.DELETED", "USER.DELETED"]


def test_a_filter_selects_the_records_that_follow(ask):
    assert ask('where action.type eq "USER.DELETED"') == "2 activities\n"
    assert ask('where action.type eq "USER.DELETED"', "length(@)") == "2\n"
    assert ask('where action.type eq "USER.DELETED"', "where", "length(@)") == "3\n"


def test_what_can_not_be_decided_is_left_out_and_said(ask):
    assert ask("[?actors.client.id == 'a'].id") == (
        '[\n  "1"\n]\n# 1 left out, undecided: actors.client.id is absent\n'
    )
    assert ask("[2].actors.client.id == 'a'") == "undecided: [2].actors.client.id is absent\n"


@pytest.mark.parametrize(
    ("line", "caret", "hint"),
    [
        ("lenght(@)", "^^^^^^", 'did you mean "length"?'),
        ("where action.typ eq 'x'", "              ^^^", ""),
        ('where action.typ eq "x"', "^^^^^^^^^^", 'did you mean "action.type"?'),
        ("length(`1`)", "       ^^^", ""),
    ],
)
def test_a_mistake_is_shown_below_the_line(ask, line, caret, hint):
    answer = ask(line).splitlines()
    assert answer[0] == line.removeprefix("where ")
    assert answer[1] == caret
    assert hint in answer[-1]


def test_several_kinds_are_an_object_of_lists(ask, tmp_path):
    counts = tmp_path / "counts.json"
    counts.write_text(
        '[{"startDate": "2026-11-01T00:00:00Z", "endDate": "2026-11-01T23:59:59Z", "value": 5}]'
    )
    assert (
        ask("metrics_active_identity_counts[0].value", records=(f"metrics_active_identity_counts={counts}",))
        == "5\n"
    )


def test_the_fields_and_the_commands_are_shown(ask):
    assert "actors.client.id string" in ask("fields")
    assert "where FILTER" in ask("help")


def test_lines_come_from_a_pipe(events, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("length(@)\n\n[0].id\nquit\n[1].id\n"))
    assert cli.run(["console", "--records", events]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ('3\n"1"\n', "")


def test_records_that_can_not_be_read_end_with_1(capsys):
    assert cli.run(["console", "--records", "activities=nothing"]) == 1
    assert "[records.unreadable]" in capsys.readouterr().err
