"""What can go wrong on purpose: switches, and what each does to an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple, Self

from auditor.model.diagnostic import did_you_mean
from auditor.model.resource import ResourceKind
from auditor.simulator import refusal
from auditor.simulator.reply import Ending, Page, Reply, json_body

_SYNTAX: Final = re.compile(
    r"(?P<kind>[a-z0-9-]+?)(=(?P<value>[^@]*?))?(@(?P<path>\S+?))?\s*(x(?P<times>[1-9][0-9]*))?"
)
_ELSEWHERE: Final = "https://elsewhere.example/"
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]+)?")


class _Kind(NamedTuple):
    description: str
    value: str | None = None
    """The value where none is given: a number asks for a number, None for no value at all."""


_KINDS: Final[Mapping[str, _Kind]] = {
    # Instead of an answer.
    "401": _Kind("the access token is refused"),
    "403": _Kind("no permission"),
    "404": _Kind("not found"),
    "408": _Kind("request timeout, from the gateway"),
    "429": _Kind("over the rate limit, Retry-After in seconds (=SECONDS)", "1"),
    "429-date": _Kind("over the rate limit, Retry-After as a date (=SECONDS from now)", "1"),
    "429-bare": _Kind("over the rate limit, without Retry-After"),
    "500": _Kind("unexpected error"),
    "502": _Kind("bad gateway"),
    "503": _Kind("service unavailable"),
    "504": _Kind("gateway timeout"),
    "aws": _Kind('a gateway\'s {"message": ...} (=STATUS)', "403"),
    "html": _Kind("a gateway's HTML page (=STATUS)", "200"),
    "not-json": _Kind("text that is no JSON, with status 200"),
    "redirect": _Kind("a redirect to another host (=URL)", _ELSEWHERE),
    "refuse-filter": _Kind("400 with supportedOperators for filters that hold a text (=TEXT; or all)", ""),
    # The connection.
    "reset": _Kind("the connection is reset before the answer"),
    "reset-body": _Kind("the connection is reset inside the body"),
    "cut": _Kind("the body ends before its Content-Length"),
    "cut-chunked": _Kind("the body ends before its last chunk"),
    "cut-framed": _Kind("half of the body, framed as if it were whole"),
    "stall": _Kind("nothing is sent for a while (=SECONDS)", "3600"),
    "slow": _Kind("the answer comes late (=SECONDS)", "1"),
    # The body.
    "huge": _Kind("a body of so many MiB, still a valid page (=MIB)", "64"),
    "deep": _Kind("a page with arrays nested so deeply (=LEVELS)", "100000"),
    # The pages.
    "small-pages": _Kind("at most so many records on a page, whatever was asked (=RECORDS)", "2"),
    "empty-page": _Kind("an empty first page with a link to the next"),
    "endless": _Kind("after the last page, empty ones without end"),
    "repeat": _Kind("each page begins with the last record of the one before"),
    "disorder": _Kind("the records of a page in reverse order"),
    "late": _Kind("every tenth record is missing; with xN it appears later"),
    "outside": _Kind("a record from twelve years before"),
    "two-bodies": _Kind("a record twice, with two bodies"),
    "types": _Kind("a record with fields of the wrong types"),
    "count": _Kind("a count that is wrong by so much (=NUMBER)", "1"),
    # The links.
    "link-origin": _Kind("the next link names another host"),
    "link-scheme": _Kind("the next link has another scheme"),
    "link-environment": _Kind("the next link leads into another environment"),
    "link-self": _Kind("the next link leads to the page itself"),
    "link-cycle": _Kind("the second page links back to the first"),
    # The headers.
    "clock-skew": _Kind("the Date header is wrong by so much (=SECONDS)", "3600"),
    "deprecation": _Kind("headers that announce the end of the endpoint"),
    # The token.
    "token-html": _Kind("the token endpoint answers with HTML"),
    "token-invalid-client": _Kind("the token endpoint knows no client"),
    "token-json": _Kind("the token endpoint answers with JSON that holds no token"),
    "token-expires": _Kind("a token is refused after so many requests (=REQUESTS)", "3"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One thing that goes wrong.

    `value` is explained in `NAMES`; empty means the default. `path` limits the fault to requests whose path
    contains it; without one it strikes all requests but those for a token, which are struck by `token-html`,
    `token-invalid-client` and `token-json` only. `times` is how often it strikes; None: every time.

    Raises:
        ValueError: the kind is unknown, a value is given where none is taken, or is no number or status
            where one is due, or `times` is below 1.
    """

    NAMES: ClassVar[Mapping[str, str]] = MappingProxyType({name: k.description for name, k in _KINDS.items()})
    """Every kind with one line that explains it."""

    kind: str
    value: str = ""
    path: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"{self.kind!r} is no fault; {did_you_mean(self.kind, _KINDS)}".rstrip("; "))
        default = _KINDS[self.kind].value
        if default is None and self.value:
            raise ValueError(f"{self.kind} takes no value such as {self.value!r}")
        takes_number = default is not None and _NUMBER.fullmatch(default)
        if takes_number and not _NUMBER.fullmatch(self.value or "0"):
            raise ValueError(f"the value of {self.kind} must be a number, not {self.value!r}")
        if self.kind in {"html", "aws"} and not 200 <= self.number < 600:
            raise ValueError(f"{self.value} is no status that {self.kind} could have")
        if self.times is not None and self.times < 1:
            raise ValueError(f"{self.kind} can not strike {self.times} times")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read `NAME[=VALUE][@PATHPART][xN]`, such as `429=2@/activities x3` or `reset x1`.

        Raises:
            ValueError: the text has another form, or as for the class.
        """
        match = _SYNTAX.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is no fault: write NAME[=VALUE][@PATHPART][xN]")
        times = match["times"]
        return cls(match["kind"], match["value"] or "", match["path"] or "", int(times) if times else None)

    @property
    def number(self) -> float:
        """The value as a number."""
        return float(self.value or _KINDS[self.kind].value or 0)

    def __str__(self) -> str:
        parts = [self.kind, self.value and f"={self.value}", self.path and f"@{self.path}"]
        return "".join(parts) + (f" x{self.times}" if self.times else "")


class Switchboard:
    """Knows which faults still strike, and counts their strikes."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._left: list[tuple[Fault, list[float]]] = [
            (fault, [float("inf") if fault.times is None else fault.times]) for fault in faults
        ]

    def strike(self, path: str, *kinds: str, token: bool = False, text: str | None = None) -> Fault | None:
        """
        Return the first fault of these kinds that strikes a request to a path, and count the strike.

        `token` says that the request is for a token. Where `text` is given, the fault's value must be in it.
        """
        for fault, left in self._left:
            if fault.kind not in kinds or not left[0]:
                continue
            if text is not None and fault.value.casefold() not in text.casefold():
                continue
            if fault.path in path if fault.path else not token or fault.kind.startswith("token-"):
                left[0] -= 1
                return fault
        return None


# --- Instead of an answer -------------------------------------------------------------------------------

_HTML: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1><p>gateway</p></body></html>"
_GATEWAY: Final = {
    "408": "Request Timeout",
    "502": "Bad Gateway",
    "503": "Service Unavailable",
    "504": "Endpoint request timed out",
}
_JSON: Final = {"content-type": "application/json"}

INSTEAD: Final = (
    "401", "403", "404", "408", "429", "429-date", "429-bare", "500", "502", "503", "504", "aws", "html",
    "not-json", "redirect",
)  # fmt: skip
"""Kinds that give an answer of their own to any request."""

INSTEAD_OF_TOKEN: Final = ("token-html", "token-invalid-client", "token-json")
"""Kinds that give an answer of their own to a request for a token."""


def instead(fault: Fault, now: datetime) -> Reply:
    """
    Return the answer that a fault of one of these kinds gives.

    Raises:
        Refusal: the answer is one of PingOne's error bodies.
    """
    match fault.kind:
        case "401":
            raise refusal.unauthorized()
        case "403":
            raise refusal.forbidden()
        case "404":
            raise refusal.not_found()
        case "500":
            raise refusal.unexpected_error()
        case "429":
            raise refusal.request_limited(int(fault.number), 10)
        case "429-date":
            until = format_datetime(now + timedelta(seconds=fault.number), usegmt=True)
            raise refusal.request_limited(int(fault.number), 10, header=until)
        case "429-bare":
            raise refusal.request_limited(1, 10, header="")
        case "redirect":
            return Reply(302, {"location": fault.value or _ELSEWHERE})
        case "html":
            return _html(int(fault.number))
        case "token-html":
            return _html(200)
        case "token-invalid-client":
            body = {"error": "invalid_client", "error_description": "Unknown client."}
            return Reply(401, _JSON, json_body(body))
        case "token-json":
            return Reply(200, _JSON, json_body({"token": "none", "expires": "soon"}))
        case "not-json":
            return Reply(200, {"content-type": "application/hal+json;charset=UTF-8"}, b"OK, but not now\n")
        case "aws":
            return Reply(int(fault.number), _JSON, json_body({"message": "Forbidden"}))
    return Reply(int(fault.kind), _JSON, json_body({"message": _GATEWAY[fault.kind]}))


def _html(status: int) -> Reply:
    title = "Bad Gateway" if status >= 500 else "Please sign on"
    return Reply(status, {"content-type": "text/html"}, _HTML.format(title).encode())


# --- The pages ------------------------------------------------------------------------------------------


def _late(page: Page, _kind: ResourceKind, _fault: Fault) -> Page:
    return replace(page, items=[item for number, item in enumerate(page.items) if number % 10])


def _disorder(page: Page, _kind: ResourceKind, _fault: Fault) -> Page:
    return replace(page, items=page.items[::-1])


def _outside(page: Page, kind: ResourceKind, _fault: Fault) -> Page:
    if kind.window is None:
        return page
    strange = deepcopy(page.items[-1:])
    for item in strange:
        instant = item[kind.order_key]
        item[kind.order_key] = f"{int(instant[:4]) - 12:04}{instant[4:]}"  # 29 February stays a day
        if "id" in item:
            item["id"] = "00000000-0000-4000-8000-000000000000"
    return replace(page, items=[*page.items, *strange])


def _two_bodies(page: Page, _kind: ResourceKind, _fault: Fault) -> Page:
    other = deepcopy(page.items[:1])
    for item in other:
        number = next((name for name in ("value", "passwordResets") if name in item), None)
        item.update({number: item[number] + 1} if number else {"correlationId": "another"})
    return replace(page, items=[*page.items, *other])


def _types(page: Page, kind: ResourceKind, _fault: Fault) -> Page:
    required = kind.item.get("required", [])
    wrong = [
        {**item, **{name: 17 if isinstance(item.get(name), str) else "seventeen" for name in required}}
        for item in page.items[:1]
    ]
    return replace(page, items=[*wrong, *page.items[1:]])


def _count(page: Page, _kind: ResourceKind, fault: Fault) -> Page:
    if "count" not in page.totals:
        return page
    return replace(page, totals={**page.totals, "count": page.totals["count"] + int(fault.number)})


PAGES: Final[Mapping[str, Callable[[Page, ResourceKind, Fault], Page]]] = {
    "count": _count,
    "disorder": _disorder,
    "late": _late,
    "outside": _outside,
    "two-bodies": _two_bodies,
    "types": _types,
}
"""What some kinds do to a page before it is written."""

LINKS: Final = ("link-origin", "link-scheme", "link-environment", "link-self")
"""Kinds that replace the link to the next page, or add one; not for POST, whose answers have no link."""

# --- The rest of an answer ------------------------------------------------------------------------------

ENDINGS: Final[Mapping[str, Ending]] = {
    "reset-body": Ending.RESET,
    "cut": Ending.CUT,
    "cut-chunked": Ending.CUT_CHUNKED,
}
"""How some kinds end an answer."""

DEPRECATION: Final = {
    "api-deprecation-date": "2027-06-30",
    "api-deprecation-message": "This endpoint goes away; read its successor instead.",
}
"""Headers by which an endpoint announces its end."""
