"""What PingOne asks and answers, for the tests of the fetcher: queries, pages, a tenant that follows a script."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

import httpx
from ruamel.yaml import YAML

from auditor import fetcher, planner
from auditor.fetcher import Settings
from auditor.model.environment import AuthMethod, Credentials, Environment
from auditor.model.evidence import Failure, Page, QueryEnd
from auditor.model.instant import format_instant
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.query import SINGLE, CompiledCheck, CompiledQuery, Program, WindowRequest
from auditor.model.resource import ResourceKind
from auditor.model.secret import Secret
from auditor.model.source import Address
from tests.support import ROOT

if TYPE_CHECKING:
    from auditor.simulator import Running, SeenRequest, World

T = TypeVar("T")
HERE = Path(__file__).parent

API = "https://api.pingone.com/v1"
AUTH = "https://auth.pingone.com"
ENVIRONMENT_ID = "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"
CLIENT_SECRET = "canary-of-the-secret/+%~"
TOKEN = "canary-of-the-token.e30.c2ln"
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text("utf-8"))


def table(name: str) -> list[dict[str, Any]]:
    """Return the rows of one of the tables beside this file."""
    rows: list[dict[str, Any]] = _read(HERE / f"{name}.yaml")
    return rows


KINDS: Mapping[str, ResourceKind] = {
    path.stem: ResourceKind.model_validate(_read(path))
    for path in sorted((ROOT / "schemas" / "resources").glob("*.yaml"))
}


# --- queries --------------------------------------------------------------------------------------------


def environment(name: str = "prod", **changes: Any) -> Environment:
    found = Environment(
        name=name, id=ENVIRONMENT_ID, api_url=API, auth_url=AUTH, credentials=credentials(), region="NA"
    )
    return replace(found, **changes)


def credentials(secret: str = CLIENT_SECRET, method: AuthMethod = "client_secret_basic") -> Credentials:
    return Credentials(
        environment_id=ENVIRONMENT_ID,
        client_id="the-client",
        client_secret=Secret(secret),
        auth_method=method,
    )


def query(
    resource: str = "activities",
    *,
    last: str | None = "1d",
    between: tuple[str, str] | None = None,
    options: Mapping[str, str | int] | None = None,
    include_partial: bool = False,
    pushed: str = "",
    asked: Environment | None = None,
    kinds: Mapping[str, ResourceKind] = KINDS,
    now: datetime = NOW,
    **changes: Any,
) -> PlannedQuery:
    """Return what the planner makes of one check, with some fields changed."""
    kind = kinds[resource]
    asked = asked or environment()
    start, end = between or (None, None)
    window = WindowRequest(start=start, end=end) if between else WindowRequest(last=last)
    check = CompiledCheck(
        environment=asked.name,
        pack="pack",
        pack_title="",
        id="check",
        title="",
        description="",
        severity="medium",
        controls={},
        tags=(),
        queries={
            SINGLE: CompiledQuery(
                resource=resource,
                window=window,
                include_partial=include_partial,
                options={name: option.default for name, option in kind.options.items()} | dict(options or {}),
                where=pushed,
                pushed=pushed,
                residual="",
            )
        },
        bind={},
        expectations=(),
        remediation="",
        references=(),
        values={},
        address=Address(file="policy.yaml"),
    )
    program = Program(checks=(check,), environments=(asked,), digest="")
    (planned,) = planner.plan(program, kinds, as_of=now, tool_version="0").queries
    return replace(planned, **changes)


# --- records and pages ----------------------------------------------------------------------------------


def event(number: int, **changes: Any) -> dict[str, Any]:
    """Return an audit event; number 1 is the newest, each is a minute older than the one before."""
    return {
        "id": f"event-{number}",
        "recordedAt": format_instant(NOW - timedelta(minutes=number)),
        "action": {"type": "USER.CREATED"},
        "resources": [{"type": "USER", "id": f"user-{number}"}],
    } | changes


def events(*numbers: int) -> list[dict[str, Any]]:
    return [event(number) for number in numbers]


def days(first: str, count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return so many days of `metrics_active_identity_counts` from a date on."""
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return [
        {
            "startDate": f"{day:%Y-%m-%dT%H:%M:%SZ}",
            "endDate": f"{day + timedelta(days=1, milliseconds=-1):%Y-%m-%dT%H:%M:%S}.999Z",
            "value": number,
        }
        | changes
        for number in range(count)
        for day in [start + timedelta(days=number)]
    ]


def buckets(first: str, count: int, length: timedelta = timedelta(days=1)) -> list[dict[str, Any]]:
    """Return so many buckets of `user_activities` from an instant on."""
    start = datetime.fromisoformat(first)
    return [
        {
            "startDate": (start + length * number).isoformat(),
            "endDate": (start + length * (number + 1)).isoformat(),
            "userSignOns": {"successes": 3, "failures": number},
            "passwordResets": 0,
        }
        for number in range(count)
    ]


def page(
    records: Sequence[Any], *, resource: str = "activities", count: int | None = None, **links: Any
) -> dict[str, Any]:
    """Return a page as PingOne writes it, with `next`, `previous` and other links."""
    name = (KINDS[resource].page.items or "").rpartition(".")[2]
    document: dict[str, Any] = {
        "_links": {"self": {"href": f"{API}/self"}}
        | {name: {"href": href} for name, href in links.items() if href is not None},
        "_embedded": {name: list(records)},
        "size": len(records),
    }
    return document if count is None else {**document, "count": count}


def link(cursor: str, resource: str = "activities") -> str:
    """Return the address of another page."""
    path = KINDS[resource].path.replace("{environment_id}", ENVIRONMENT_ID)
    return f"{API}{path}?cursor={cursor}"


def ok(document: Any, **headers: str) -> httpx.Response:
    return answer(200, document, **headers)


def answer(status: int, document: Any, **headers: str) -> httpx.Response:
    """Return an answer; underscores in names of headers stand for hyphens."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, content=content, headers={"Content-Type": "application/hal+json;charset=UTF-8", **named}
    )


def html(status: int = 200) -> httpx.Response:
    page = "<html><body><h1>Please sign on</h1></body></html>"
    return httpx.Response(status, html=page)


def granted(token: str = TOKEN, **changes: Any) -> httpx.Response:
    """Return the answer of the token endpoint."""
    return ok({"access_token": token, "token_type": "Bearer", "expires_in": 3600} | changes)


# --- a tenant -------------------------------------------------------------------------------------------

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Tenant(httpx.AsyncBaseTransport):
    """
    A PingOne that follows a script and keeps what it was asked.

    It gives its answers one after the other, the last one again and again. An answer may be an exception, or
    a function of the request; so may an answer for a token.
    """

    def __init__(self, *answers: Answer, tokens: Sequence[Answer] = (), clock: Clock | None = None) -> None:
        self.answers = list(answers)
        self.tokens = list(tokens) or [granted()]
        self.clock = clock or Clock()
        self.asked: list[httpx.Request] = []
        self.asked_for_token: list[httpx.Request] = []
        self.at: list[float] = []
        """When each request came, on the clock of the loop."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.url.path.endswith("/as/token"):
            self.asked_for_token.append(request)
            return await _given(self.tokens, request)
        self.asked.append(request)
        self.at.append(asyncio.get_running_loop().time())
        return await _given(self.answers, request)

    @property
    def urls(self) -> list[str]:
        return [f"{request.url.scheme}://{request.url.host}{raw(request)}" for request in self.asked]

    @property
    def limits(self) -> list[str]:
        return [parse_qs(request.url.query.decode())["limit"][0] for request in self.asked]


def raw(request: httpx.Request) -> str:
    """Return path and query as they go over the wire."""
    return request.url.raw_path.decode("ascii")


async def _given(answers: list[Answer], request: httpx.Request) -> httpx.Response:
    found = answers.pop(0) if len(answers) > 1 else answers[0]
    if isinstance(found, Exception):
        raise found
    given = found(request) if callable(found) else found
    if not isinstance(given, httpx.Response):
        given = await given
    return httpx.Response(given.status_code, headers=given.headers, stream=given.stream)


@dataclass
class Clock:
    """A wall clock that stands still until it is told to go on; `step` lets every look take some time."""

    now: datetime = NOW
    step: timedelta = timedelta()

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


# --- fetching -------------------------------------------------------------------------------------------


@dataclass
class Fetched:
    """All that came of a plan, and how long it took on the clock of the loop."""

    pages: list[Page] = field(default_factory=list)
    ends: list[QueryEnd] = field(default_factory=list)
    seconds: float = 0

    @property
    def end(self) -> QueryEnd:
        (end,) = self.ends
        return end

    @property
    def failure(self) -> Failure:
        assert self.end.failure is not None, self.end
        return self.end.failure

    @property
    def records(self) -> list[Any]:
        return [record for page in self.pages for record in page.records]

    @property
    def ids(self) -> list[str]:
        return [record["id"] for record in self.records]

    def of(self, query: PlannedQuery) -> QueryEnd:
        return next(end for end in self.ends if end.query == query.id)


def fetched(
    tenant: Tenant,
    *queries: PlannedQuery,
    kinds: Mapping[str, ResourceKind] = KINDS,
    asked: Iterable[Environment] = (),
    probes: Sequence[PlannedQuery] = (),
    **settings: Any,
) -> Fetched:
    """Fetch from a tenant, in a time that passes only while everything waits."""
    return in_virtual_time(fetching(tenant, *queries, kinds=kinds, asked=asked, probes=probes, **settings))


async def fetching(
    tenant: Tenant,
    *queries: PlannedQuery,
    kinds: Mapping[str, ResourceKind] = KINDS,
    asked: Iterable[Environment] = (),
    probes: Sequence[PlannedQuery] = (),
    **settings: Any,
) -> Fetched:
    """Read queries to their ends; without any, all events of a day."""
    found = Fetched()
    time = asyncio.get_running_loop().time
    started = time()
    environments = {each.name: each for each in (environment(), *asked)}
    plan = plan_of(*(queries or (query(),)), probes=probes)
    stream = fetcher.fetch(plan, kinds, environments, settings_for(tenant, **settings))
    async for event in stream:
        if isinstance(event, Page):
            found.pages.append(event)
        else:
            found.ends.append(event)
    found.seconds = time() - started
    return found


def settings_for(tenant: Tenant, **changes: Any) -> Settings:
    settings = Settings(
        clock=tenant.clock,
        user_agent="auditor/test",
        transport=tenant,
        rates=dict.fromkeys({kind.rate.group for kind in KINDS.values()}, 0.0),
    )
    return replace(settings, **changes)


def plan_of(*queries: PlannedQuery, probes: Sequence[PlannedQuery] = ()) -> Plan:
    return Plan(
        tool_version="0",
        as_of=NOW,
        policy_digest="",
        environments=(),
        queries=queries,
        checks=(),
        probes=tuple(probes),
    )


# --- the simulator --------------------------------------------------------------------------------------


@dataclass
class Simulated:
    """A simulator on a loopback port, with what leads the fetcher to it."""

    running: Running
    world: World
    environment: Environment
    clock: Clock

    @property
    def reads(self) -> list[SeenRequest]:
        return [seen for seen in self.running.requests if not seen.path.endswith("/as/token")]

    @property
    def tokens(self) -> list[SeenRequest]:
        return [seen for seen in self.running.requests if seen.path.endswith("/as/token")]

    def query(self, resource: str = "activities", **how: Any) -> PlannedQuery:
        return query(resource, asked=self.environment, **how)

    def fetched(self, *queries: PlannedQuery, **settings: Any) -> Fetched:
        """Fetch over the network, in the time that it takes."""
        asked = queries or (self.query(),)
        own = {"first_wait_s": 0.0, "transport": None, "timeout_s": 10} | settings
        return asyncio.run(
            fetching(Tenant(html(), clock=self.clock), *asked, asked=[self.environment], **own)
        )


@lru_cache
def world() -> World:
    from auditor import simulator

    return simulator.World.generate(seed=7, events=4_000, now=NOW)


@contextmanager
def simulated(*faults: str, secret: str = CLIENT_SECRET, **settings: Any) -> Iterator[Simulated]:
    """Serve a simulated tenant while the block runs; faults as `Fault.parse` reads them."""
    from auditor import simulator

    clock, tenant = Clock(), world()
    settings = {"client_secret": secret, "auth_method": "client_secret_basic"} | settings
    application = simulator.create_app(
        tenant,
        KINDS,
        simulator.Settings(faults=tuple(map(simulator.Fault.parse, faults)), **settings),
        clock,
    )
    with simulator.serve(application) as running:
        yield Simulated(
            running=running,
            world=tenant,
            clock=clock,
            environment=environment(
                "simulated",
                id=tenant.environment_id,
                api_url=running.api_url,
                auth_url=running.auth_url,
                credentials=Credentials(
                    environment_id=tenant.environment_id,
                    client_id="simulator-client",
                    client_secret=Secret(secret),
                    auth_method=settings["auth_method"],
                ),
            ),
        )


# --- time -----------------------------------------------------------------------------------------------


class _Patient(selectors.DefaultSelector):
    """A selector that does not wait, but notes for how long it would have."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        assert ready or timeout is not None, "everything waits, and nothing will ever happen"
        if not ready and timeout:
            self.waited_s += timeout
        return ready


class _VirtualTime(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.patient = _Patient()
        super().__init__(self.patient)

    def time(self) -> float:
        return super().time() + self.patient.waited_s


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a loop whose clock jumps ahead instead of waiting. Not for sockets."""
    with asyncio.Runner(loop_factory=_VirtualTime) as runner:
        return runner.run(work)


@contextmanager
def nothing_left_running() -> Iterator[None]:
    """Assert, within a loop, that every task which a block starts has ended with it."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() == before
