"""
Engines that count, for each check, the events that break it: one engine, one process, one line of JSON.

`python -m benchmarks.engines NAME FOLDER CHECKS` prints seconds, seconds of CPU, the peak of memory and the counts.
Reading and compiling are in the time, starting Python and importing is not. Each engine imports what it needs,
so that those of others run in an environment of their own, without this program.

With `--turns` it says `.` before each piece of its work, and waits for a line: so engines can take turns, and a machine
that is slow for a while is slow for all of them. Only those of `TURNS` have more than one piece.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import checks
from benchmarks.checks import Check, Condition

if TYPE_CHECKING:
    from auditor.app import Planned

Counts = list[int]
Prepared = Callable[[], Counts]
"""What is timed; everything is imported before."""


def lines_of(folder: Path) -> Path:
    """Return the file of events of a corpus."""
    return folder / "events.ndjson"


def pages_of(folder: Path) -> list[Path]:
    """Return the pages of a corpus."""
    return sorted((folder / "pages").glob("*.json"))


TURNS: Final = {"limit", "walk", "judge", "judge_pages"}
"""Engines that work piece by piece."""

_EVENTS: Final = 50_000
"""
Events of a piece. With 10,000 all begin with cold caches again and again, which no run does, and that costs those most
whose code is largest: judging then took 0.70 L in place of 0.61, and pages 0.42 in place of 0.28.
"""


class _Turn:
    """Whose turn it is; `waited_s` is how long this engine waited for its own."""

    are_taken = False
    waited_s = 0.0

    @classmethod
    def wait(cls) -> None:
        """Wait for one's turn, if turns are taken."""
        if cls.are_taken:
            start = time.perf_counter()
            sys.stdout.write(".\n")
            sys.stdout.flush()
            sys.stdin.readline()
            cls.waited_s += time.perf_counter() - start


def limit(folder: Path, _: Sequence[Check]) -> Prepared:
    """Decode every line with `orjson` and do nothing with it: the yardstick."""
    loads = import_module("orjson").loads

    def run() -> Counts:
        with lines_of(folder).open("rb") as lines:
            while lines.peek(1):
                for line in islice(lines, _EVENTS):
                    loads(line)
                _Turn.wait()
        return []

    return run


def walk(folder: Path, _: Sequence[Check]) -> Prepared:
    """Decode every page whole with `orjson` and look at each event once: the yardstick for pages."""
    loads, pages = import_module("orjson").loads, pages_of(folder)

    def run() -> Counts:
        events = 0
        for page in pages:
            for event in loads(page.read_bytes())["_embedded"]["activities"]:
                event["action"]
                events += 1
            if events >= _EVENTS:
                events = 0
                _Turn.wait()
        return []

    return run


def _project(given: Sequence[Check]) -> Path:
    """Write a project of some checks into a folder that is there until the process ends."""
    project = Path(tempfile.mkdtemp(prefix="auditor-bench-"))
    atexit.register(shutil.rmtree, project, ignore_errors=True)
    checks.project(given, project)
    return project


def judge(folder: Path, given: Sequence[Check]) -> Prepared:
    """Judge lines alone, with policies compiled and planned before, and without an account of what is all there."""
    return _judged([lines_of(folder)], "Lines", given)


def judge_pages(folder: Path, given: Sequence[Check]) -> Prepared:
    """Do the same with pages."""
    return _judged(pages_of(folder), "Items", given)


def _judged(files: Sequence[Path], form: str, given: Sequence[Check]) -> Prepared:
    from auditor import app
    from auditor.config import records
    from auditor.evaluator import Audit
    from auditor.model.evidence import QueryEnd

    project = _project(given)
    (project / "none.json").write_text("[]", encoding="utf-8")
    planned = app.plan(
        app.Job(folder=project, environ={}, records=[f"activities={project / 'none.json'}"])
    ).value
    if planned is None:
        raise SystemExit("The checks can not be planned.")
    ends = [QueryEnd(query=query.id, failure=None, assurance="given") for query in planned.plan.queries]
    kind = planned.project.catalogue["activities"]

    def run() -> Counts:
        running = Audit(planned.program, planned.plan, planned.project.catalogue)
        one_pass = running.one_pass([end.query for end in ends])
        events = 0
        for file in files:
            for rows in getattr(records, form)(file, kind).decoded(one_pass.decode):
                one_pass.judge(rows)
                events += len(rows.found)
                if events >= _EVENTS:
                    events = 0
                    _Turn.wait()
        return [verdict.exceptions for verdict in running.finish(ends)]

    return run


def judge_two(folder: Path, given: Sequence[Check]) -> Prepared:
    """Judge lines by two processes, which are started in that time; they were surveyed before."""
    from auditor import app

    planned = app.plan(
        app.Job(folder=_project(given), environ={}, records=[f"activities={lines_of(folder)}"])
    ).value
    if planned is None:
        raise SystemExit("The checks can not be planned.")
    return lambda: judge_given(planned, 2)


def judge_given(planned: Planned, processes: int) -> Counts:
    """Judge records that were surveyed before by so many processes."""
    from auditor.app import lines
    from auditor.evaluator import Audit
    from auditor.model.evidence import QueryEnd

    vars(lines)["LEAST_BYTES"] = 1  # two are asked for, whether they are worth it or not
    plan, catalogue = planned.plan, {"activities": planned.project.catalogue["activities"]}
    alike = partial(Audit, planned.program, plan, catalogue)
    audit, given = alike(), planned.given or {}
    asyncio.run(lines.judge(given, plan, catalogue, audit, alike=alike, processes=processes))
    ends = [QueryEnd(query=query.id, failure=None, assurance="given") for query in plan.queries]
    return [verdict.exceptions for verdict in audit.finish(ends)]


def auditor(folder: Path, given: Sequence[Check]) -> Prepared:
    """Do what `auditor check --records` does with lines, reading policies, planning and reporting included."""
    return _ours([lines_of(folder)], given)


def pages(folder: Path, given: Sequence[Check]) -> Prepared:
    """Do the same with pages."""
    return _ours(pages_of(folder), given)


def _ours(files: Sequence[Path], given: Sequence[Check]) -> Prepared:
    from auditor import app
    from auditor.app.run import check

    project = _project(given)
    job = app.Job(folder=project, environ={}, records=[f"activities={file}" for file in files])

    def run() -> Counts:
        return [verdict.exceptions for verdict in check(job).verdicts]

    return run


def jmespath(folder: Path, given: Sequence[Check]) -> Prepared:
    """Search the whole list once for each check, as scripts do."""
    library, loads = import_module("jmespath"), import_module("orjson").loads

    def run() -> Counts:
        with lines_of(folder).open("rb") as lines:
            records = [loads(line) for line in lines]
        return [len(library.search(f"[?{checks.jmespath(check)}]", records)) for check in given]

    return run


def search(folder: Path, given: Sequence[Check]) -> Prepared:
    """Search each event by itself, which is loaded and compiled for already, for all checks but the first fifty."""
    library = import_module("jmespath")
    with lines_of(folder).open("rb") as lines:
        events = [json.loads(line) for line in lines]
    compiled = [library.compile(checks.jmespath(check)) for check in given[50:]]

    def run() -> Counts:
        for event in events:
            for each in compiled:
                each.search(event)
        return []

    return run


# Cloud Custodian


def custodian(folder: Path, given: Sequence[Check]) -> Prepared:
    """Send the whole list through the value filters of each check."""
    value_filter, loads = import_module("c7n.filters.core").ValueFilter, import_module("orjson").loads
    logging = import_module("logging")
    logging.disable(logging.CRITICAL)

    def run() -> Counts:
        with lines_of(folder).open("rb") as lines:
            records = [loads(line) for line in lines]
        return [len(_filtered(records, check)) for check in given]

    def _filtered(records: list[Any], check: Check) -> list[Any]:
        found = records
        for each in _custodian_filters(check):
            made = value_filter({"type": "value", **each})
            made.annotate = False
            found = made.process(found)
        return found

    return run


def _custodian_filters(check: Check) -> Iterator[dict[str, Any]]:
    if check.prefix:
        yield {"key": "action.type", "op": "glob", "value": f"{check.prefix}*"}
    elif check.types:
        yield {"key": "action.type", "op": "in", "value": list(check.types)}
    else:
        yield {"key": "result.status", "value": "FAILED"}
    for condition in check.conditions:
        value = condition.values[0]
        match condition.kind:
            case "client not in":
                yield {"key": "actors.client.id", "op": "not-in", "value": list(condition.values)}
            case "status":
                yield {"key": "result.status", "value": value}
            case "resource":
                yield {"key": "resources[].type", "op": "contains", "value": value}
            case "population":
                yield {"key": "resources[].population.id", "op": "contains", "value": value}
            case "tag":
                yield {"key": "tags", "op": "contains", "value": value}
            case "address":
                yield {"key": "source.ipAddress", "op": "glob", "value": f"{value}*"}
            case "name":
                yield {"key": "actors.user.name", "op": "glob", "value": f"*{value}"}


# jq


def jq(folder: Path, given: Sequence[Check]) -> Prepared:
    """Run one program that names, for each event, the checks that it breaks."""
    library = import_module("jq")

    def run() -> Counts:
        tests = (f"(if {_jq(check)} then {number} else empty end)" for number, check in enumerate(given))
        program, counts = library.compile(", ".join(tests)), [0] * len(given)
        with lines_of(folder).open(encoding="utf-8") as lines:
            while text := "".join(islice(lines, 100)):
                for number in program.input_text(text):
                    counts[number] += 1
        return counts

    return run


def _jq(check: Check) -> str:
    if check.prefix:
        about = f'(.action.type | startswith("{check.prefix}"))'
    elif check.types:
        about = "(" + " or ".join(f'.action.type == "{each}"' for each in check.types) + ")"
    else:
        about = '.result.status == "FAILED"'
    return " and ".join((about, *map(_jq_condition, check.conditions)))


def _jq_condition(condition: Condition) -> str:
    value = condition.values[0]
    match condition.kind:
        case "client not in":
            among = " or ".join(f'. == "{each}"' for each in condition.values)
            return f"(.actors.client.id | ({among}) | not)"
        case "status":
            return f'.result.status == "{value}"'
        case "resource":
            return f'any(.resources[]?; .type == "{value}")'
        case "population":
            return f'any(.resources[]?; .population.id == "{value}")'
        case "tag":
            return f'any(.tags[]?; . == "{value}")'
        case "address":
            return f'((.source.ipAddress // "") | startswith("{value}"))'
        case "name":
            return f'((.actors.user.name // "") | endswith("{value}"))'


# DuckDB


def duckdb(folder: Path, given: Sequence[Check]) -> Prepared:
    """Scan the file once, with typed columns, on two cores."""
    library = import_module("duckdb")

    def run() -> Counts:
        connection = library.connect(config={"threads": 2})
        counted = ", ".join(f"count(*) FILTER (WHERE {_duckdb(check)})" for check in given)
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in _COLUMNS.items())
        source = f"read_json('{lines_of(folder)}', format='newline_delimited', columns={{{columns}}})"
        query = f"SELECT {counted} FROM {source}"  # noqa: S608  # of our own making
        return list(connection.execute(query).fetchone())

    return run


_COLUMNS = {
    "action": "STRUCT(type VARCHAR)",
    "actors": 'STRUCT(client STRUCT(id VARCHAR), "user" STRUCT(name VARCHAR))',
    "resources": "STRUCT(type VARCHAR, population STRUCT(id VARCHAR))[]",
    "result": "STRUCT(status VARCHAR)",
    "source": "STRUCT(ipAddress VARCHAR)",
    "tags": "VARCHAR[]",
}


def _duckdb(check: Check) -> str:
    if check.prefix:
        about = f"starts_with(action.type, '{check.prefix}')"
    elif check.types:
        about = f"action.type IN ({', '.join(map(_sql, check.types))})"
    else:
        about = "result.status = 'FAILED'"
    return " AND ".join((about, *map(_duckdb_condition, check.conditions)))


def _duckdb_condition(condition: Condition) -> str:
    value = _sql(condition.values[0])
    match condition.kind:
        case "client not in":
            return f"actors.client.id NOT IN ({', '.join(map(_sql, condition.values))})"
        case "status":
            return f"result.status = {value}"
        case "resource":
            return f"list_contains(list_transform(resources, lambda r: r.type), {value})"
        case "population":
            return f"list_contains(list_transform(resources, lambda r: r.population.id), {value})"
        case "tag":
            return f"list_contains(tags, {value})"
        case "address":
            return f"starts_with(source.ipAddress, {value})"
        case "name":
            return f"ends_with(actors.user.name, {value})"


def _sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Sigma


def sigma(folder: Path, given: Sequence[Check]) -> Prepared:
    """Flatten the events into a table of SQLite in memory, and ask it what pySigma makes of a rule for each check."""
    backend = import_module("sigma.backends.sqlite").sqliteBackend
    collection, sqlite = import_module("sigma.collection").SigmaCollection, import_module("sqlite3")
    loads = import_module("orjson").loads

    def run() -> Counts:
        database = sqlite.connect(":memory:")
        database.execute(f"CREATE TABLE logs ({', '.join(f'`{name}` TEXT' for name in _FLAT)})")
        with lines_of(folder).open("rb") as lines:
            database.executemany(
                f"INSERT INTO logs VALUES ({', '.join('?' * len(_FLAT))})",  # noqa: S608  # no value in it
                (_flat(loads(line)) for line in lines),
            )
        converter, counts = backend(), []
        for check in given:
            (query,) = converter.convert(collection.from_yaml(json.dumps(_sigma(check))))
            counts.append(database.execute(query.replace("SELECT *", "SELECT count(*)", 1)).fetchone()[0])
        return counts

    return run


_FLAT = (
    "action.type",
    "result.status",
    "actors.client.id",
    "actors.user.name",
    "source.ipAddress",
    "resources.type",
    "resources.population.id",
    "tags",
)


def _flat(event: dict[str, Any]) -> tuple[str | None, ...]:
    """Return the columns of an event; lists as texts in which each value stands between bars."""
    resources = event.get("resources") or ()
    return (
        event["action"]["type"],
        event["result"]["status"],
        event["actors"]["client"]["id"],
        event["actors"].get("user", {}).get("name"),
        event.get("source", {}).get("ipAddress"),
        _barred([each["type"] for each in resources]),
        _barred([each["population"]["id"] for each in resources if "population" in each]),
        _barred(event.get("tags") or ()),
    )


def _barred(values: Sequence[str]) -> str:
    return f"|{'|'.join(values)}|"


def _sigma(check: Check) -> dict[str, Any]:
    about: dict[str, Any]
    if check.prefix:
        about = {"action.type|startswith": check.prefix}
    elif check.types:
        about = {"action.type": list(check.types)}
    else:
        about = {"result.status": "FAILED"}
    detection: dict[str, Any] = {"about": about}
    words = ["about"]
    for number, condition in enumerate(check.conditions):
        negated = condition.kind == "client not in"
        detection[f"c{number}"] = _sigma_condition(condition)
        words.append(f"not c{number}" if negated else f"c{number}")
    detection["condition"] = " and ".join(words)
    return {"title": "Check", "status": "test", "logsource": {"category": "pingone"}, "detection": detection}


def _sigma_condition(condition: Condition) -> dict[str, Any]:
    value = condition.values[0]
    match condition.kind:
        case "client not in":
            return {"actors.client.id": list(condition.values)}
        case "status":
            return {"result.status": value}
        case "resource":
            return {"resources.type|contains": f"|{value}|"}
        case "population":
            return {"resources.population.id|contains": f"|{value}|"}
        case "tag":
            return {"tags|contains": f"|{value}|"}
        case "address":
            return {"source.ipAddress|startswith": value}
        case "name":
            return {"actors.user.name|endswith": value}


# Rego


def rego(folder: Path, given: Sequence[Check]) -> Prepared:
    """Ask regorus, for each event, for the set of checks that it breaks."""
    library = import_module("regorus")

    def run() -> Counts:
        engine, counts = library.Engine(), [0] * len(given)
        rules = (f"broken contains {number} if {{ {_rego(check)} }}" for number, check in enumerate(given))
        engine.add_policy("checks.rego", "package checks\nimport rego.v1\n" + "\n".join(rules))
        with lines_of(folder).open(encoding="utf-8") as lines:
            for line in lines:
                engine.set_input_json(line)
                for number in engine.eval_rule("data.checks.broken"):
                    counts[number] += 1
        return counts

    return run


def _rego(check: Check) -> str:
    if check.prefix:
        about = f'startswith(input.action.type, "{check.prefix}")'
    elif len(check.types) == 1:
        about = f'input.action.type == "{check.types[0]}"'
    elif check.types:
        about = f"input.action.type in {_rego_set(check.types)}"
    else:
        about = 'input.result.status == "FAILED"'
    return "; ".join((about, *map(_rego_condition, check.conditions)))


def _rego_condition(condition: Condition) -> str:
    value = json.dumps(condition.values[0])
    match condition.kind:
        case "client not in":
            return f"not input.actors.client.id in {_rego_set(condition.values)}"
        case "status":
            return f"input.result.status == {value}"
        case "resource":
            return f"input.resources[_].type == {value}"
        case "population":
            return f"input.resources[_].population.id == {value}"
        case "tag":
            return f"{value} in input.tags"
        case "address":
            return f"startswith(input.source.ipAddress, {value})"
        case "name":
            return f"endswith(input.actors.user.name, {value})"


def _rego_set(values: Sequence[str]) -> str:
    return "{" + ", ".join(map(json.dumps, values)) + "}"


ENGINES: Final[Mapping[str, Callable[[Path, Sequence[Check]], Prepared]]] = {
    "limit": limit,
    "judge": judge,
    "judge_pages": judge_pages,
    "judge_two": judge_two,
    "auditor": auditor,
    "walk": walk,
    "pages": pages,
    "search": search,
    "jmespath": jmespath,
    "custodian": custodian,
    "jq": jq,
    "duckdb": duckdb,
    "sigma": sigma,
    "rego": rego,
}


def main() -> None:
    """Run one engine and print what it took and found."""
    name, folder, given, *options = sys.argv[1:]
    _Turn.are_taken = "--turns" in options
    run = ENGINES[name](Path(folder), checks.load(Path(given)))
    _Turn.wait()
    _Turn.waited_s = 0
    start, cpu_start = time.perf_counter(), time.process_time()
    counts = run()
    seconds, cpu_s = time.perf_counter() - start - _Turn.waited_s, time.process_time() - cpu_start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "peak_mib": peak_mib, "counts": counts}))


if __name__ == "__main__":
    main()
