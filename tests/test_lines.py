"""Files of lines that are not held: looked through and judged in parts, with the result of files that are held."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import config, fetcher
from auditor.app import lines as app_lines
from auditor.app import workers
from auditor.config import Lines
from auditor.fetcher.completeness import Ledger, Part
from auditor.model.resource import ResourceKind
from auditor.model.timeline import sortable
from auditor.model.value import parse_json
from auditor.runs import RunFolder
from tests.pages import query
from tests.support import examples
from tests.test_cli import auditor, policy  # noqa: F401  # fixtures
from tests.test_compiler import KINDS

ACTIVITIES = KINDS["activities"]
SECONDS = st.integers(0, 9)
SPELLINGS = ("2026-11-21T09:00:0{}.000Z", "2026-11-21T09:00:0{}Z", "2026-11-21T10:00:0{}.000+01:00")


def record(second: int, name: int, spelling: int = 0, **more: Any) -> dict[str, Any]:
    """Return a record that is known by an instant and a name."""
    return {
        "id": f"event-{name}",
        "recordedAt": SPELLINGS[spelling].format(second),
        "action": {"type": "X"},
        **more,
    }


def spelled(found: Any, random: Random) -> bytes:
    """Return a record as a line, with its fields in any order and spaces between them."""
    fields = list(found.items())
    random.shuffle(fields)
    return json.dumps(dict(fields), separators=random.choice([(",", ":"), (", ", ": ")])).encode()


def surveyed(content: bytes, kind: ResourceKind, block: int, parts: int) -> fetcher.Survey:
    """Look through a file in parts."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.records, "_BLOCK", block)
        path = Path(folder, "events.ndjson")
        path.write_bytes(content)
        whole = Lines(path, kind)
        scans = [pickle.loads(pickle.dumps(fetcher.scan(kind, 1, part))) for part in whole.cut(parts)]  # noqa: S301
        return fetcher.survey(kind, scans, [whole])


def counted(found: Sequence[Any]) -> Ledger:
    """Take the account of records that are held."""
    ledger = Ledger(query(), ACTIVITIES, given=True)
    ledger.take(list(found), Part())
    return ledger


DAMAGE = [
    *(bytes([byte]) for byte in b'"\\{}[],:\n\r \x00\xff\xc30-e.n\x1f\t'),
    *(b"\\u", b"\\x", b"\xef\xbb\xbf", b"1e999", b"NaN", b"null", b"", b"", b"\\ud800"),
]


@settings(max_examples=examples(400), deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.sampled_from(DAMAGE)), min_size=1, max_size=2)
)
def test_nothing_that_can_not_be_read_is_taken_for_a_record_because_it_is_not_looked_at(damage):
    whole = [record(n, n, actors={"client": {"id": "x", "name": "é"}}, tags=["a", "b"]) for n in range(4)]
    content = bytearray(b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in whole))
    for where, length, text in damage:
        at = int(where * len(content))
        content[at : at + length] = text
    with TemporaryDirectory() as folder:
        options = [f"activities={Path(folder, 'events.ndjson')}"]
        Path(folder, "events.ndjson").write_bytes(content)
        held, found = (
            config.read_records(options, KINDS),
            config.stream_records(options, KINDS, larger_than=0),
        )
    if held.value is None and found.value is not None:
        try:
            assert surveyed(bytes(content), ACTIVITIES, 10_000, 1).failure is not None
        except fetcher.LineError as error:
            assert error.place < len(content)  # noqa: PT017  # either will do


shapes = st.sampled_from(["up", "down", "days", "any"])


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(st.tuples(SECONDS, st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2])), max_size=25),
    shapes,
    st.sampled_from([1, 200, 10_000]),
    st.integers(1, 4),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]),
    st.randoms(use_true_random=False),
)
def test_a_file_is_known_as_if_it_were_held_in_whatever_order_it_is(some, shape, block, parts, end, random):
    found = [record(*each) for each in some]
    match shape:
        case "up":
            found.sort(key=lambda each: sortable(each["recordedAt"]))
        case "down":
            found.sort(key=lambda each: sortable(each["recordedAt"]), reverse=True)
        case "days":  # each in order, and not all
            middle = len(found) // 2
            found = sorted(found[:middle], key=str) + sorted(found[middle:], key=str, reverse=True)
    content = b"".join(spelled(each, random) + end for each in found)
    known = surveyed(content, ACTIVITIES, block, parts)
    if known.failure is not None:
        assert known.failure.code == "evidence.changed-record"
        with pytest.raises(fetcher.FetchError, match="one identity"):
            counted(found)
        return
    ledger = counted(found)
    assert (known.records, len(known.repeated)) == (ledger.records, ledger.duplicates)
    assert (known.first, known.last) == (ledger.first, ledger.last)
    kept = [
        json.loads(line) for place, line in fetcher.numbered(0, content) if (1, place) not in known.repeated
    ]
    again = counted(kept)
    assert (again.records, again.duplicates) == (ledger.records, 0)


def without_times(report: Any) -> Any:
    """Return a report without what no two runs have in common."""
    own = ("run_id", "started_at", "finished_at", "root_digest")
    return {name: value for name, value in report.items() if name not in own}


Report = Callable[..., Any]

POLICY = """
version: 1
pack: {id: pack, title: Pack}
checks:
  every:
    title: Nobody but an administrator deletes
    query: {resource: activities, window: 30d, where: action.type eq "USER.DELETED"}
    expect: {every: "actors.client.id == 'admin'", on_missing: fail}
  none:
    title: Nothing fails
    query: {resource: activities, window: 1d}
    expect: {none: "[?result.status == 'FAILED'].{who: actors.client.id, at: recordedAt}", on_missing: pass}
  that:
    title: No client does too much
    query: {resource: activities, window: 30d, where: result.status eq "FAILED"}
    expect: {that: "length(@) < `3`", message: "{length(@)} failed", on_empty: pass}
  holds:
    title: Everybody has a name
    query: {resource: activities, window: 30d}
    expect: {every: "id != 'nobody'"}
  bind:
    title: Nobody is created twice
    queries: {created: {resource: activities, window: 30d, where: action.type eq "USER.CREATED"}}
    bind: {most: "max(count_by(created, &not_null(actors.client.id, 'none'))[].count)"}
    expect: {over: created, every: "${bind.most} < `2`", on_empty: pass}
"""


def events(number: int, random: Random) -> list[dict[str, Any]]:
    """Return events, the newest first, of which some say less than others and some repeat."""
    found = []
    for each in range(number):
        hour, minute = divmod(number - each, 60)
        event: dict[str, Any] = {
            "id": str(each),
            "recordedAt": f"2026-11-{random.choice([20, 21])}T{hour % 24:02}:{minute:02}:00.000Z",
            "action": {"type": random.choice(["USER.CREATED", "USER.DELETED", "FLOW.CREATED"])},
            "result": {"status": random.choice(["FAILED", "SUCCESS", "SUCCESS", "SUCCESS"])},
            "actors": {"client": {"id": random.choice(["admin", "ada"]), "name": "é"}},
        }
        if random.random() < 0.1:
            del event["actors"]
        found.append(event)
    found.sort(key=lambda event: event["recordedAt"], reverse=random.random() < 0.8)
    return [event for event in found for _ in range(1 + (random.random() < 0.1))]


@pytest.fixture
def judged(auditor, tmp_path, monkeypatch) -> Report:  # noqa: F811
    """Check a file and return the JSON report: held, or cut into so many parts."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def check(content: bytes, parts: int | None = None) -> Any:
        (tmp_path / "events.ndjson").write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            if parts is not None:
                patch.setattr(config, "stream_records", partial(config.stream_records, larger_than=0))
                cut_small(patch)
            ran = auditor(
                "check", "policy.yaml", "--records", "activities=events.ndjson", "--json",
                "--processes", str(parts or 1),
            )  # fmt: skip
        return without_times(json.loads(ran.out))

    return check


def cut_small(patch: pytest.MonkeyPatch) -> None:
    """Have small files cut into parts, for processes that are played by this one."""
    patch.setattr(app_lines, "LEAST_BYTES", 1)
    patch.setattr(app_lines, "PART_BYTES", 4_000)
    patch.setattr(app_lines, "in_parts", here)


def here(works: Sequence[Callable[[Iterator[tuple[int, Any]]], Any]], items: Sequence[Any]) -> list[Any]:
    """Do in this process what others would do, with what they would be given, whoever takes what."""
    dealt: list[list[tuple[int, Any]]] = [[] for _ in works]
    for item in enumerate(pickle.loads(pickle.dumps(items))):  # noqa: S301
        Random(len(items) * item[0]).choice(dealt).append(item)  # noqa: S311
    return [pickle.loads(pickle.dumps(work(iter(own)))) for work, own in zip(works, dealt, strict=True)]  # noqa: S301


@pytest.mark.parametrize("seed", range(4))
def test_the_report_is_the_same_whatever_a_file_is_cut_into(judged, seed):
    random = Random(seed)  # noqa: S311
    content = b"".join(
        spelled(event, random) + b"\n" for event in events(random.choice([20, 60, 400]), random)
    )
    held = judged(content)
    assert {verdict["status"] for verdict in held["verdicts"]} >= {"pass", "fail"}
    for parts in (1, 2, 5):
        found = judged(content, parts)
        assert found["verdicts"] == held["verdicts"]
        assert found == held | {"asked": found["asked"]}


def test_records_that_several_queries_look_at_are_counted_once(judged):
    found = [event for event in events(30, Random(2)) if event["id"]]  # noqa: S311
    content = b"".join(json.dumps(event).encode() + b"\n" for event in found)
    for parts in (None, 1):
        report = judged(content, parts)
        ends = [asked["end"]["records"] for asked in report["asked"] if asked["query"]["uses"]]
        assert len(ends) > 1
        assert report["summary"]["records"] == max(ends)


def test_the_report_is_the_same_whatever_form_records_are_given_in(auditor, judged, tmp_path):  # noqa: F811
    random = Random(7)  # noqa: S311
    found = events(90, random)
    held = judged(b"".join(spelled(event, random) + b"\n" for event in found))
    files: dict[str, bytes] = {}
    for number, start in enumerate(range(0, len(found), 20)):
        items = found[start : start + 20]
        next_ = {"next": {"href": "https://x"}} if start + 20 < len(found) else {}
        whole: Any = items if number == 1 else {"_links": next_, "_embedded": {"activities": items}}
        files[f"{number}.json"] = json.dumps(whole, indent=number or None).encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    options = [word for name in files for word in ("--records", f"activities={name}")]
    for parts in (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config, "stream_records", partial(config.stream_records, larger_than=0))
            cut_small(patch)
            ran = auditor("check", "policy.yaml", *options, "--json", "--processes", str(parts))
        report = without_times(json.loads(ran.out))
        assert [named(verdict) for verdict in report["verdicts"]] == [
            named(verdict) for verdict in held["verdicts"]
        ]


@pytest.mark.parametrize("seed", range(3))
def test_pages_that_are_cut_give_what_pages_that_are_held_do(auditor, tmp_path, monkeypatch, seed):  # noqa: F811
    random = Random(seed)  # noqa: S311
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config.records, "_BLOCK", 1_000)
    found = events(80, random)
    first = next(iter(found[0]))
    found[random.randrange(80)]["note"] = f'a text of }},{{"{first}" and }}]'
    found[random.randrange(80)]["extra"] = [{first: 1}, {first: 2}] * 20
    options: list[str] = []
    for number, start in enumerate(range(0, len(found), 30)):
        links = {"next": {"href": "https://x"}} if start + 30 < len(found) else {}
        page = {
            "_links": links,
            "_embedded": {"activities": found[start : start + 30]},
            "x": random.choice([1, 1, [{"a": 1}]]),
        }
        separators = random.choice([(",", ":"), (",", ":"), (", ", ": ")])
        (tmp_path / f"{number}.json").write_text(json.dumps(page, separators=separators), encoding="utf-8")
        options += ["--records", f"activities={number}.json"]
    held = json.loads(auditor("check", "policy.yaml", *options, "--json").out)
    monkeypatch.setattr(config, "stream_records", partial(config.stream_records, larger_than=0))
    cut_small(monkeypatch)
    for processes in ("1", "3"):
        ran = json.loads(auditor("check", "policy.yaml", *options, "--json", "--processes", processes).out)
        assert {verdict["status"] for verdict in held["verdicts"]} == {"pass", "fail"}
        assert list(map(named, without_times(ran)["verdicts"])) == list(
            map(named, without_times(held)["verdicts"])
        )


def test_every_violation_is_kept_whichever_process_finds_it(auditor, tmp_path, monkeypatch):  # noqa: F811
    written_policy = (
        POLICY.partition("checks:")[0]
        + """checks:
  groups:
    title: There are no groups
    query: {resource: groups}
    expect: {none: "[]"}
  none:
    title: Nothing happens
    query: {resource: activities, window: 30d}
    expect: {none: "[]"}
"""
    )
    (tmp_path / "policy.yaml").write_text(written_policy, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    written = {
        "activities": events(40, Random(8)),  # noqa: S311
        "groups": [{"id": str(number), "name": f"group {number}"} for number in range(30)],
    }
    for kind, found in written.items():
        (tmp_path / kind).write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in found))
    monkeypatch.setattr(config, "stream_records", partial(config.stream_records, larger_than=0))
    cut_small(monkeypatch)
    options = [word for kind in written for word in ("--records", f"{kind}={kind}")]
    for parts in (1, 3):
        ran = auditor("check", "policy.yaml", *options, "--json", "--processes", str(parts))
        report = json.loads(ran.out)
        folder = RunFolder.open(tmp_path / ".auditor/runs" / report["run_id"]).value
        assert folder is not None
        kept = Counter(each.check for each in folder.read_violations())
        assert kept == {verdict["name"]: verdict["exceptions"] for verdict in report["verdicts"]}
        assert sorted(path.name for path in folder.path.glob("violations*")) == ["violations.ndjson.zst"]


def named(verdict: Any) -> Any:
    """Return a verdict without the numbers of the files that its violations are from."""
    outcomes = [
        {**outcome, "violations": [{**each, "page": ""} for each in outcome["violations"]]}
        for outcome in verdict["outcomes"]
    ]
    return {**verdict, "outcomes": outcomes}


def test_processes_of_their_own_find_what_one_does(judged, monkeypatch):
    random = Random(1)  # noqa: S311
    content = b"".join(spelled(event, random) + b"\n" for event in events(400, random))
    one = judged(content, 1)
    monkeypatch.setitem(globals(), "here", workers.in_parts)
    assert judged(content, 2) == one


def test_a_record_that_is_not_as_documented_is_an_error_as_far_as_a_check_reads_it(judged):
    found = events(5, Random(2))[:5]  # noqa: S311
    lines = [json.dumps(event).encode() for event in found]
    lines[3] = json.dumps(found[3] | {"result": {"status": 5}}).encode()
    reports = [judged(b"\n".join(lines), parts) for parts in (None, 1, 2, 3)]
    assert reports[1] == reports[2] == reports[3]
    for report in reports:
        assert {verdict["code"] for verdict in report["verdicts"]} == {"evidence.drift"}
        (asked, *_) = report["asked"]
        assert asked["end"]["failure"]["reason"] == (
            "Record 4 of a page is not as documented at result.status: type 'string' is documented."
        )
    lines[3] = json.dumps(found[3] | {"tags": 5}).encode()  # which no check reads
    codes = [
        {verdict["code"] for verdict in judged(b"\n".join(lines), parts)["verdicts"]} for parts in (None, 1)
    ]
    assert "evidence.drift" in codes[0]
    assert "evidence.drift" not in codes[1]


def test_of_several_records_that_are_not_as_documented_the_first_is_told_whoever_comes_upon_it(judged):
    found = events(60, Random(9))  # noqa: S311
    lines = [json.dumps(event).encode() for event in found]
    for at in (11, 30, 47):
        lines[at] = json.dumps(found[at] | {"result": {"status": at}}).encode()
    one, *others = [judged(b"\n".join(lines), parts) for parts in (1, 2, 3, 5)]
    assert "Record 12 of a page" in one["asked"][0]["end"]["failure"]["reason"]
    assert others == [one, one, one]


def test_two_records_under_one_identity_are_an_error(judged):
    found = events(4, Random(3))[:3]  # noqa: S311
    changed = found[1] | {"result": {"status": "OTHER"}}
    content = b"\n".join(json.dumps(event).encode() for event in [*found, changed])
    for parts in (None, 1, 2):
        assert {verdict["code"] for verdict in judged(content, parts)["verdicts"]} == {
            "evidence.changed-record"
        }


def test_a_line_that_is_no_json_is_told_by_its_number(judged):
    found = [json.dumps(event).encode() for event in events(6, Random(4))]  # noqa: S311
    for at, bad in ((2, b"{"), (0, b"5"), (5, b'{"id": "x"} {"id": "y"}')):
        lines = [*found[:at], bad, *found[at:]] if at else [found[0], bad]
        problems = judged(b"\n".join(lines), 3)["problems"]
        (problem,) = [each for each in problems if each["code"] == "records.unreadable"]
        assert f"Line {max(at, 1) + 1} is no" in problem["detail"]


def test_a_process_that_dies_makes_no_pass(judged, monkeypatch):
    content = b"\n".join(json.dumps(event).encode() for event in events(60, Random(5)))  # noqa: S311
    monkeypatch.setitem(
        globals(),
        "here",
        lambda works, items: workers.in_parts([DYING.get(work.func, work) for work in works], items),
    )
    report = judged(content, 2)
    assert {verdict["code"] for verdict in report["verdicts"]} == {"records.unreadable"}
    assert "a process has ended before its time" in report["verdicts"][0]["reason"]


def die(_: Any) -> None:
    os._exit(1)


DYING: dict[Any, Any] = {app_lines._state: die}


@pytest.mark.parametrize("text", ["garbage", "2026-02-30T09:00:00.000Z"])
def test_what_no_type_tells_is_held_against_the_schema_where_a_check_reads_it(judged, tmp_path, text):
    (tmp_path / "policy.yaml").write_text(
        POLICY.partition("  every:")[0]
        + """  created:
    title: Nothing is stored before it was recorded
    query: {resource: activities, window: 30d}
    expect: {every: "createdAt >= recordedAt", on_missing: pass}
""",
        encoding="utf-8",
    )
    found = events(5, Random(2))[:5]  # noqa: S311
    found[3]["createdAt"] = text
    content = b"\n".join(json.dumps(event).encode() for event in found)
    for parts in (None, 1, 2):
        (verdict,) = judged(content, parts)["verdicts"]
        assert verdict["code"] == "evidence.drift"
        assert verdict["reason"].startswith("Record 4 of a page is not as documented at createdAt")


def grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def shrinks(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def is_emptied(path: Path) -> None:
    os.truncate(path, 0)


def is_another(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"FAILED", b"PASSED"))


def is_written_over(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"FAILED", b"PASSED"))


@pytest.mark.parametrize("change", [grows, shrinks, is_emptied, is_another, is_written_over, Path.unlink])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_changes_between_the_looks_is_an_error(judged, tmp_path, monkeypatch, change, pack):
    judge = app_lines.judge

    async def later(*words: Any, **options: Any) -> Any:
        change(tmp_path / "events.ndjson")
        return await judge(*words, **options)

    monkeypatch.setattr(app_lines, "judge", later)
    content = b"\n".join(json.dumps(event).encode() for event in events(60, Random(5)))  # noqa: S311
    for parts in (1, 3):
        assert {verdict["code"] for verdict in judged(pack(content), parts)["verdicts"]} == {
            "records.unreadable"
        }


DELETED = {"type": "USER.DELETED"}
MISTAKES: dict[str, tuple[list[tuple[int, Any]], str]] = {
    "no instant": ([(9, {"recordedAt": "never"}), (30, {"recordedAt": 5})], "Record 10 of a page"),
    "no such day": ([(9, {"recordedAt": "2026-02-30T09:00:00.000Z"})], "Record 10 of a page"),
    "nothing to be known by": ([(30, {"id": None})], "Record 31 of a page"),
    "a field that no check reads, then one that some reads": (
        [(3, {"tags": 5}), (30, {"action": DELETED, "actors": 5}), (31, {"action": DELETED, "actors": 5})],
        "Record 31 of a page",
    ),
    "two that contradict, before one that is not as documented": (
        [
            *((at, {"id": "0", "recordedAt": "2026-11-20", "tags": [str(at)]}) for at in (4, 5)),
            (20, {"recordedAt": "never"}),
        ],
        "Record 21 of a page",
    ),
    "two pairs that contradict": (
        [(at, {"id": f"{at % 2}", "recordedAt": "2026-11-20", "tags": [str(at)]}) for at in (10, 31, 33, 44)],
        "(2026-11-20T00:00:00.000Z, 1)",
    ),
    "one that is not as documented, before lines that are no records": (
        [(4, {"recordedAt": "never"}), (20, b"5"), (40, b"{")],
        "Line 21 is no object",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_what_is_wrong_with_a_file_is_the_same_whatever_it_is_cut_into(judged, monkeypatch, what):
    changes, told = MISTAKES[what]
    lines = [json.dumps(record(3, number)).encode() for number in range(50)]
    for at, change in changes:
        lines[at] = (
            change if isinstance(change, bytes) else json.dumps(json.loads(lines[at]) | change).encode()
        )
    content = b"\n".join(lines)
    first = held = judged(content)
    for block, parts in ((10_000, 1), (10_000, 5), (100, 3), (1_000, 2)):
        monkeypatch.setattr(config.records, "_BLOCK", block)
        found = judged(content, parts)
        assert told in json.dumps(found)
        assert found["as_of"] == held["as_of"] or not held["verdicts"]
        assert [verdict["code"] for verdict in found["verdicts"]] == [
            verdict["code"] for verdict in held["verdicts"]
        ]
        first = found if first is held else first
        assert found | {"as_of": ""} == first | {"as_of": ""}


KNOWN: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "an instant": (
        {"identity": ["recordedAt", "id"], "order_key": "id"},
        [{"recordedAt": SPELLINGS[0].format(1)}, {"recordedAt": SPELLINGS[2].format(1)}],
    ),
    "a secret": ({"secret": ["password"]}, [{"password": "a"}, {"password": "b"}]),
}


@pytest.mark.parametrize("what", KNOWN)
def test_a_record_repeats_as_far_as_it_does_where_it_is_held(what):
    more, copies = KNOWN[what]
    kind = ACTIVITIES.model_copy(update=more)
    found = [record(1, 1) | copy for copy in copies]
    ledger = Ledger(query(), kind, given=True)
    try:
        ledger.take([{name: each[name] for name in each if name != "password"} for each in found], Part())
    except fetcher.FetchError as error:
        ended: Any = error.failure.reason
    else:
        ended = (ledger.records, ledger.duplicates)
    content = b"".join(json.dumps(each).encode() + b"\n" for each in found)
    for parts in (1, 2):
        known = surveyed(content, kind, 10_000, parts)
        assert ended == (known.failure.reason if known.failure else (known.records, len(known.repeated)))


def test_identities_of_several_types_can_be_told_apart():
    kind = ACTIVITIES.model_copy(
        update={"item": {"type": "object"}, "order_key": "recordedAt", "identity": ("id",)}
    )
    found = [record(second, 0) | {"id": name} for second in (1, 0, 1, 0) for name in (1, "1")]
    content = b"".join(json.dumps(each).encode() + b"\n" for each in found)
    for parts in (1, 2, 4):
        known = surveyed(content, kind, 1, parts)
        assert (known.records, len(known.repeated), known.failure) == (4, 4, None)


def test_a_run_that_is_interrupted_while_it_judges_a_file_says_to_start_again(judged, monkeypatch):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(app_lines, "_judged", interrupted)
    report = judged(b"\n".join(json.dumps(event).encode() for event in events(60, Random(5))), 1)  # noqa: S311
    assert {verdict["code"] for verdict in report["verdicts"]} == {"evidence.interrupted"}
    assert report["exit_reason"].endswith("Start again: auditor check")


def test_a_pipe_that_is_given_keeps_nothing_waiting(auditor, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    content = b"\n".join(json.dumps(event).encode() for event in events(20, Random(9)))  # noqa: S311
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: Path("pipe").write_bytes(content))
        ran = auditor("check", "policy.yaml", "--records", "activities=pipe", "--json")
    assert json.loads(ran.out)["verdicts"][0]["population"] > 0


def test_a_number_is_the_same_whichever_parser_reads_it():
    for number in (2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**300):
        quick, thorough = parse_json(f"[{number}]"), parse_json(f'[{number}, "\\ud800"]')
        assert repr(quick[0]) == repr(thorough[0])
    for text in ("1" * 400, "1" * 5_000):
        for document in (f"[{text}]", f'[{text}, "\\ud800"]'):
            with pytest.raises(ValueError, match=r"."):
                parse_json(document)
