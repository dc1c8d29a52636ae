"""The simulated PingOne as an ASGI application: arrival, routing, authorization, answers."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount

from auditor.model.resource import Catalogue, ResourceKind
from auditor.simulator import faults, refusal, script
from auditor.simulator.cast import digest, uuid
from auditor.simulator.cursors import Cursors, Place
from auditor.simulator.endpoints import Behaviour, Read, behaviour, known_parameters
from auditor.simulator.faults import Fault, Switchboard
from auditor.simulator.limits import Limiter
from auditor.simulator.refusal import Refusal
from auditor.simulator.reply import Ending, Page, Reply, json_body
from auditor.simulator.settings import Settings
from auditor.simulator.tokens import FORM, OAuthError, Tokens

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from auditor.simulator.world import Environment, World

API_PATH: Final = "/v1"
_TOKEN_PATH: Final = re.compile(r"/(?P<environment_id>[^/]+)/as/token")
_HAL: Final = "application/hal+json;charset=UTF-8"
_JSON: Final = "application/json"
_HIDDEN: Final = "(hidden)"
_SECRETS: Final = frozenset({"client_secret", "client_assertion"})
_MIB: Final = 1 << 20
_NO_ENVIRONMENT: Final = "00000000-0000-4000-8000-000000000000"
# As recorded from the real service, and as documented ("API responses").
_HEADERS: Final = {
    "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    "expires": "0",
    "pragma": "no-cache",
    "access-control-allow-origin": "*",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-cache": "Miss from cloudfront",
    "x-amz-cf-pop": "SIM50-C1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """
    One request as it arrived, for assertions.

    Names of headers are in lower case; credentials in headers and form bodies are replaced. `status` is that
    of the answer, 0 where there is none (yet). `ignored` are query parameters that the endpoint does not
    know: a real one ignores them silently.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    at: datetime
    status: int = 0
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Route:
    """An endpoint: what it is, where it stands, and how it answers."""

    kind: ResourceKind
    path: re.Pattern[str]
    behaviour: Behaviour
    parameters: frozenset[str]

    @property
    def methods(self) -> list[str]:
        return ["GET", "POST"] if self.kind.post else ["GET"]

    @property
    def filter(self) -> str:
        """Name of the parameter that holds the filter."""
        return self.kind.filter.parameter if self.kind.filter else ""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request on its way through the simulator."""

    request: Request
    body: bytes
    number: int
    now: datetime

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return str(self.request.scope["path"])

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.request.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    @property
    def origin(self) -> str:
        return f"{self.request.url.scheme}://{self.request.url.netloc}"


def create_app(
    world: World, catalogue: Catalogue, settings: Settings, clock: Callable[[], datetime]
) -> Starlette:
    """
    Return a PingOne that serves a world as the descriptors of a catalogue describe its endpoints.

    The interface stands below `/v1`; the token endpoint is `/{environment}/as/token`. The clock is read for
    every request: tokens expire and events age by it. Rates are measured by the computer's own time.
    A descriptor without a window gets an endpoint where the world has a collection at its path.

    Raises:
        ValueError: a rate of the settings can not be read.
    """
    simulator = Simulator(world, catalogue, settings, clock)
    app = Starlette(routes=[Mount("/", app=simulator)])
    app.state.simulator = simulator
    return app


class Simulator:
    """The application behind `create_app`; `seen` are the requests, in the order of their arrival."""

    def __init__(
        self, world: World, catalogue: Catalogue, settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        self.seen: list[SeenRequest] = []
        self.recording = True
        self._world = world
        self._settings = settings
        self._clock = clock
        self._tokens = Tokens(settings, world.environment_id, world.organization_id)
        self._limiter = Limiter(settings)
        self._cursors = Cursors(world.organization_id)
        self._faults = Switchboard(settings.faults)
        self._repeated: dict[str, dict[str, Any]] = {}
        self._arrived = 0
        self._routes = [
            _Route(kind, _path(kind), answers, known_parameters(kind))
            for kind in catalogue.values()
            if (kind.window is not None or world.serves(kind.path)) and (answers := behaviour(kind))
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        self._arrived += 1
        call = _Call(request, body, self._arrived, self._clock())
        place = len(self.seen)
        if self.recording:
            self.seen.append(self._seen(call))
        if await self._waited_in_vain(call, receive):
            return
        reply = self._reply(call)
        if self.recording:
            self.seen[place] = replace(self.seen[place], status=reply.status)
        await _send(scope, receive, send, reply)

    def _seen(self, call: _Call) -> SeenRequest:
        route, _ = self._route(call.path)
        headers = {name.lower(): value for name, value in call.request.headers.items()}
        if "authorization" in headers:
            headers["authorization"] = f"{headers['authorization'].partition(' ')[0]} {_HIDDEN}"
        body = call.body.decode("utf-8", "replace")
        if headers.get("content-type", "").startswith(FORM):
            fields = parse_qsl(body, keep_blank_values=True)
            body = urlencode([(name, _HIDDEN if name in _SECRETS else value) for name, value in fields])
        return SeenRequest(
            method=call.method,
            path=call.path,
            query=dict(call.query),
            headers=headers,
            body=body,
            at=call.now,
            ignored=tuple(name for name, _ in call.query if route and name not in route.parameters),
        )

    async def _waited_in_vain(self, call: _Call, receive: Receive) -> bool:
        """Let time pass as settings and faults want it; return whether the client has left meanwhile."""
        delays = [fault.number for kind in ("slow", "stall") if (fault := self._strike(call, kind))]
        seconds = self._settings.latency_s + sum(delays)
        if not seconds:
            return False
        try:
            await asyncio.wait_for(_left(receive), seconds)
        except TimeoutError:
            return False
        return True

    def _strike(self, call: _Call, *kinds: str, text: str | None = None) -> Fault | None:
        token = _TOKEN_PATH.fullmatch(call.path) is not None
        return self._faults.strike(call.path, *kinds, token=token, text=text)

    # --- from a request to an answer --------------------------------------------------------------------

    def _reply(self, call: _Call) -> Reply:
        if self._strike(call, "reset"):
            return Reply(0, ending=Ending.RESET)
        try:
            reply = self._answer(call)
        except Refusal as refused:
            identifier = uuid(digest("error", call.number))
            headers = {"content-type": _HAL, **refused.headers}
            reply = Reply(refused.status, headers, json_body(refused.document(identifier)))
        return self._finished(call, reply)

    def _answer(self, call: _Call) -> Reply:
        if fault := self._strike(call, *faults.INSTEAD):
            return faults.instead(fault, call.now)
        if match := _TOKEN_PATH.fullmatch(call.path):
            return self._token(call, match["environment_id"])
        return self._read(call)

    def _token(self, call: _Call, environment_id: str) -> Reply:
        if call.method != "POST":
            raise refusal.method_not_allowed(["POST"])
        if fault := self._strike(call, *faults.INSTEAD_OF_TOKEN):
            return faults.instead(fault, call.now)
        body, url = call.body.decode("utf-8", "replace"), f"{call.origin}{call.path}"
        headers = {"content-type": _JSON}
        try:
            answer = self._tokens.grant(environment_id, call.request.headers, body, url, call.now)
        except OAuthError as refused:
            if refused.status == 401 and "authorization" in call.request.headers:
                headers["www-authenticate"] = 'Basic realm="PingOne"'
            return Reply(refused.status, headers, json_body(refused.document))
        return Reply(200, headers, json_body(answer))

    def _read(self, call: _Call) -> Reply:
        fault = self._strike(call, "token-expires")
        uses = int(fault.number) if fault else None
        if not self._tokens.accepts(call.request.headers.get("authorization", ""), call.now, uses):
            raise refusal.unauthorized()
        route, identifiers = self._route(call.path)
        if route is None:
            raise refusal.not_found()
        if call.method not in route.methods:
            raise refusal.method_not_allowed(route.methods)
        if call.method == "POST" and not call.request.headers.get("content-type", "").startswith(_JSON):
            raise refusal.unsupported_media_type()
        environment = self._allowed(route.kind, identifiers)
        address = call.request.client.host if call.request.client else ""
        self._limiter.admit(route.kind.rate, environment.id, address, time.monotonic())
        given = _posted(call.body, route) if call.method == "POST" else _once(call.query)
        parameters = {name: value for name, value in given.items() if name in route.parameters}
        cursor = parameters.pop("cursor", None)
        position = None
        if cursor is not None:
            place = self._cursors.read(cursor, call.path)
            if call.method == "POST" and parameters.get(route.filter) != place.parameters.get(route.filter):
                raise refusal.invalid_value("offset", "The offset belongs to another filter.")
            parameters, position = dict(place.parameters), place.position
        if self._strike(call, "refuse-filter", text=parameters.get(route.filter, "")):
            raise refusal.invalid_filter("The filter is not supported.", supportedOperators=["eq", "and"])
        few = self._strike(call, "small-pages")
        read = Read(
            kind=route.kind,
            environment=environment,
            organization_id=self._world.organization_id,
            settings=self._settings,
            now=call.now,
            api_url=f"{call.origin}{API_PATH}",
            parameters=parameters,
            position=position,
            most=max(1, int(few.number)) if few else None,
            records=self._listed(route.kind, identifiers, parameters),
        )
        page = self._page(call, route, read, cursor)
        return Reply(200, {"content-type": _HAL}, json_body(self._document(call, read, page, cursor)))

    def _route(self, path: str) -> tuple[_Route | None, Mapping[str, str]]:
        """Return the endpoint that stands at a path, and the identifiers in it by their names."""
        for route in self._routes:
            if match := route.path.fullmatch(path):
                return route, match.groupdict()
        return None, {}

    def _allowed(self, kind: ResourceKind, identifiers: Mapping[str, str]) -> Environment:
        """
        Return the environment that a request is about: the default one, where it is about the organization.

        Raises:
            Refusal: there is no such environment or organization, or no role of the client reaches it.
        """
        settings, world = self._settings, self._world
        environment = world.environment(identifiers.get("environment_id", world.environment_id))
        if (
            environment is None
            or environment.id in settings.forbidden_environments
            or identifiers.get("organization_id", world.organization_id) != world.organization_id
            or (settings.roles and not set(settings.roles) & set(kind.roles))
        ):
            raise refusal.forbidden()
        return environment

    def _listed(
        self, kind: ResourceKind, identifiers: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]]:
        """
        Return the records of a collection, where an endpoint lists one.

        Raises:
            Refusal: there is no such collection, or a parameter of it is wrong.
        """
        if kind.window is not None:
            return ()
        if identifiers.get("each") == self._settings.client_id:
            return self._own_roles()
        records = self._world.collection(kind.path, identifiers, parameters)
        if records is None:
            raise refusal.not_found()
        return records

    def _own_roles(self) -> list[Mapping[str, Any]]:
        """Return the role assignments of the client itself: as set, or what was enough for whoever made it."""
        organization, environment = self._world.organization_id, self._world.environment_id
        given = self._settings.roles or ("Environment Admin", "Identity Data Admin")
        scopes = {"Organization Admin": {"type": "ORGANIZATION", "id": organization}}
        return [
            {
                "id": uuid(digest("own role", name)),
                "role": {"id": script.ROLES[name]},
                "scope": scopes.get(name, {"type": "ENVIRONMENT", "id": environment}),
                "readOnly": False,
            }
            for name in given
        ]

    # --- pages ------------------------------------------------------------------------------------------

    def _page(self, call: _Call, route: _Route, read: Read, cursor: str | None) -> Page:
        """Return a page, with what faults do to it. Positions of their own: `empty` pages, and the `start`."""
        position = read.position or {}
        if "empty" in position:
            return Page(items=[], next={"empty": position["empty"] + 1})
        page = route.behaviour(replace(read, position=None) if "start" in position else read)
        if cursor is None and self._strike(call, "empty-page"):
            return Page(items=[], next={"start": True}, totals=page.totals)
        if cursor in self._repeated:
            page = replace(page, items=[self._repeated[cursor], *page.items])
        for kind, change in faults.PAGES.items():
            if fault := self._strike(call, kind):
                page = change(page, route.kind, fault)
        if page.next is None and self._strike(call, "endless"):
            page = replace(page, next={"empty": 1})
        if cursor is not None and "start" not in position and self._strike(call, "link-cycle"):
            page = replace(page, next={"start": True})
        return page

    def _document(self, call: _Call, read: Read, page: Page, cursor: str | None) -> dict[str, Any]:
        """Return a page as HAL, with links on the server's own origin that hold nothing but a cursor."""
        url = f"{call.origin}{call.path}"
        query = {"cursor": cursor} if cursor else read.parameters
        here = f"{url}?{_encoded(query)}" if query and call.method == "GET" else url
        links = {"self": {"href": here}}
        document: dict[str, Any] = {"_links": links}
        for name, position in (("next", page.next), ("previous", page.previous)):
            if position is None:
                continue
            onward = self._cursors.write(Place(call.path, read.parameters, position))
            if name == "next" and page.items and self._strike(call, "repeat"):
                self._repeated[onward] = page.items[-1]
            if call.method == "POST":
                document["offset"] = onward
            else:
                links[name] = {"href": f"{url}?{_encoded({'cursor': onward})}"}
        if call.method == "GET" and (fault := self._strike(call, *faults.LINKS)):
            links["next"] = {"href": self._misled(fault, call, read, page, here)}
        if read.kind.page.items is None:
            return {**document, **(page.items[0] if page.items else {})}
        document["_embedded"] = {read.kind.page.items.rpartition(".")[2]: page.items}
        return {**document, **page.totals}

    def _misled(self, fault: Fault, call: _Call, read: Read, page: Page, here: str) -> str:
        """Return a link to where no client should go."""
        if fault.kind == "link-self":
            return here
        path = call.path
        if fault.kind == "link-environment":
            others = [e.id for e in self._world.environments if e.id != read.environment.id]
            path = path.replace(read.environment.id, (others or [_NO_ENVIRONMENT])[0])
        origin = {
            "link-origin": "https://elsewhere.example",
            "link-scheme": call.origin.replace("http", "https", 1),
        }
        cursor = self._cursors.write(Place(path, read.parameters, page.next or {"start": True}))
        return f"{origin.get(fault.kind, call.origin)}{path}?{_encoded({'cursor': cursor})}"

    # --- headers and bodies -----------------------------------------------------------------------------

    def _finished(self, call: _Call, reply: Reply) -> Reply:
        """Return an answer with its headers, and with what faults do to its body."""
        skew = self._strike(call, "clock-skew")
        identifier = uuid(digest("correlation", call.number))
        headers = {
            **_HEADERS,
            "date": format_datetime(call.now + timedelta(seconds=skew.number if skew else 0), usegmt=True),
            "correlation-id": identifier,
            "x-amzn-requestid": identifier,
            "x-amzn-trace-id": f"Root=1-{call.number:08x}-{identifier[-12:]}{identifier[:8]}00;Sampled=0",
            **reply.headers,
        }
        if self._strike(call, "deprecation"):
            headers |= faults.DEPRECATION
        body, ending, padding = reply.body, reply.ending, reply.padding
        if reply.status == 200:
            if fault := self._strike(call, "deep"):
                body = body[:-1] + b',"deep":' + b"[" * int(fault.number) + b"]" * int(fault.number) + b"}"
            if fault := self._strike(call, "huge"):
                padding = int(fault.number * _MIB)
            if self._strike(call, "cut-framed"):
                body = body[: len(body) // 2]
            if fault := self._strike(call, *faults.ENDINGS):
                ending = faults.ENDINGS[fault.kind]
        if self._settings.gzip and not padding and "gzip" in call.request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        if ending is not Ending.CUT_CHUNKED:
            headers["content-length"] = str(padding + len(body))
        return Reply(reply.status, headers, body, ending, padding)


def _path(kind: ResourceKind) -> re.Pattern[str]:
    steps = (
        f"(?P<{step[1:-1]}>[^/]+)" if step[:1] == "{" else re.escape(step) for step in kind.path.split("/")
    )
    return re.compile(re.escape(API_PATH) + "/".join(steps))


def _once(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    parameters = dict(query)
    if len(parameters) != len(query):
        raise refusal.invalid_data("INVALID_PARAMETER", "query", "A parameter is given more than once.")
    return parameters


def _posted(body: bytes, route: _Route) -> dict[str, str]:
    """Return the body of a POST as the parameters of the same GET."""
    try:
        document = json.loads(body)
    except ValueError:
        raise refusal.invalid_request("The body is no JSON.") from None
    if not isinstance(document, dict):
        raise refusal.invalid_request("The body must be an object.")
    form, limit = route.kind.post, route.kind.page.limit
    if form is None:
        raise TypeError(f"{route.kind.kind} has no form as POST")
    # The documentation says that `offset` names "the next or current set" and not where a client learns it:
    # here the answer to a POST has it beside the records, for the next request with the same filter.
    fields = [
        (form.filter, route.filter, str),
        (form.limit, limit.parameter if limit else "", int),
        (form.offset, "cursor", str),
    ]
    parameters = {}
    for name, parameter, wanted in fields:
        if name not in document:
            continue
        if type(document[name]) is not wanted:  # true is no number here
            raise refusal.invalid_value(name, f"{name} has the wrong type.")
        parameters[parameter] = str(document[name])
    return parameters


def _encoded(query: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())


# --- sending --------------------------------------------------------------------------------------------


async def _send(scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
    if reply.ending is Ending.RESET and not reply.body:
        await _reset(scope, receive)
        return
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    for start in range(0, reply.padding, _MIB):
        white = b" " * min(_MIB, reply.padding - start)
        await send({"type": "http.response.body", "body": white, "more_body": True})
    if reply.ending is Ending.WHOLE:
        await send({"type": "http.response.body", "body": reply.body})
        return
    await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
    if reply.ending is Ending.RESET:
        await _reset(scope, receive)
    # Else the server closes the connection, since the answer was not completed.


async def _reset(scope: Scope, receive: Receive) -> None:
    transport = scope.get("state", {}).get("transport")
    if transport is None:  # not on a socket
        raise ConnectionResetError("the simulator resets this connection")
    linger_no_time = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
    transport.abort()
    await _left(receive)


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
