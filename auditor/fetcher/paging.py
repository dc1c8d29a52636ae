"""From a first request to the last page: links followed, never trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import httpx

from auditor.fetcher.answers import Found, is_record
from auditor.fetcher.failures import (
    AGAIN,
    DRIFT,
    FetchError,
    FilterRefusedError,
    described,
    largest_page,
    refused,
)
from auditor.fetcher.session import Request, Response, parsed
from auditor.model.resource import PostForm, ResourceKind, without
from auditor.model.value import JSON

MAX_PAGES: Final = 100_000
"""Pages of one slice; an endpoint that links on and on is not read for ever."""

Send = Callable[[Request], Awaitable[Response]]
"""Sends a request with a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPage:
    """One page as received: its records and what it says of the whole."""

    request: Request
    number: int
    """Which answer to the query it is, counted from 1."""
    document: dict[str, JSON]
    records: Sequence[Found]
    count: int | None


Way = Callable[[RawPage], Request | None]
"""Where a page leads to; None at the end."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """
    The pages of one slice.

    `url` is the first request's without parameters; `parameters` are sent with the first request only, since
    PingOne's links hold nothing but a cursor and are followed verbatim. With a `form` they are sent as the body
    of a POST. `page_sizes` remembers the largest page by kind, where an endpoint refused a larger one.
    """

    kind: ResourceKind
    url: str
    parameters: dict[str, str]
    form: PostForm | None
    send: Send
    page_sizes: dict[str, int] = field(default_factory=dict)
    _seen: set[Request] = field(init=False, default_factory=set)
    _url: httpx.URL = field(init=False)

    def __post_init__(self) -> None:
        self._url = httpx.URL(self.url)

    @property
    def page_size(self) -> int | None:
        """How many records a page is asked to hold."""
        limit = self.kind.page.limit
        asked = self.parameters.get(limit.parameter) if limit else None
        return None if asked is None else int(asked)

    async def pages(self) -> AsyncGenerator[RawPage]:
        """
        Yield the first page, those that `next` leads to from there, then those that lie the other way.

        Asked for `-startDate`, an endpoint may begin in the middle and show the rest behind `previous` (seed
        "Read Active Identity Counts by Date Range"). Links back are followed from the first page only: on
        every other they lead to where the walk came from.

        Raises:
            FilterRefusedError: the first request is refused with status 400.
            FetchError: a page is refused, is no page, or links where no page of this query can be.
        """
        first = await self._first_page()
        yield first
        for way in (self._onward, self._back):
            page = await self._after(first, way)
            while page is not None:
                following = asyncio.create_task(self._after(page, way))
                try:
                    yield page
                    page = await following
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)

    async def _after(self, page: RawPage, way: Way) -> RawPage | None:
        """Read the page that another leads to; None where it leads nowhere."""
        request = way(page)
        return None if request is None else self._page(request, await self._sent(request))

    def leads_on(self, page: RawPage) -> bool:
        """Tell whether a page links to a next one."""
        return self._onward(page) is not None

    async def _first_page(self) -> RawPage:
        self._fit_page_size()
        request = self._first()
        response = await self._sent(request)
        if response.status == 400 and (largest := self._largest_page(response)) is not None:
            self.page_sizes[self.kind.kind] = largest
            if self._fit_page_size():
                request = self._first()
                response = await self._sent(request)
        if response.status == 400:
            failure = refused(400, response.body, f"{request.method} {self._path}").failure
            raise FilterRefusedError(failure.code, failure.reason, failure.help)
        return self._page(request, response)

    def _fit_page_size(self) -> bool:
        """Ask for no larger pages than are known to be given; return whether that is news."""
        limit, largest = self.kind.page.limit, self.page_sizes.get(self.kind.kind, 0)
        if limit is None or not 0 < largest < (self.page_size or 0):
            return False
        self.parameters[limit.parameter] = str(largest)
        return True

    def _largest_page(self, response: Response) -> int | None:
        limit = self.kind.page.limit
        if limit is None:
            return None
        return largest_page(response.body, self.form.limit if self.form else limit.parameter)

    async def _sent(self, request: Request) -> Response:
        if request in self._seen:
            raise FetchError(
                "evidence.loop",
                f"{self._path} links to a page that was read already; the rest can not be reached.",
                AGAIN,
            )
        if len(self._seen) == MAX_PAGES:
            raise endless(self._path, f"after {MAX_PAGES:,} pages")
        self._seen.add(request)
        return await self.send(request)

    @property
    def _path(self) -> str:
        return self._url.path

    def _first(self) -> Request:
        if self.form is not None:
            return self._posted(self.form, {})
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.parameters.items())
        return Request("GET", f"{self.url}?{query}" if query else self.url)

    def _posted(self, form: PostForm, more: dict[str, JSON]) -> Request:
        """Return the request as a POST, whose fields have names of their own."""
        limit = self.kind.page.limit.parameter if self.kind.page.limit else None
        where = self.kind.filter.parameter if self.kind.filter else None
        names = {where: form.filter, limit: form.limit}
        body = {
            names.get(name, name): int(value) if name == limit else value
            for name, value in self.parameters.items()
        }
        return Request("POST", self.url, json.dumps(body | more).encode())

    def _page(self, request: Request, response: Response) -> RawPage:
        if response.status != 200:
            raise refused(response.status, response.body, self._path, self.kind.roles)
        document = response.document
        if document is None:
            raise FetchError(
                "evidence.not-json",
                f"{self._path} answered with {described(response.content_type)}, which is no JSON.",
                "Check whether a gateway or proxy answers instead of PingOne.",
            )
        path = self.kind.page.items
        records = [document] if path is None else _at(document, path)
        if not isinstance(records, list) or not all(map(is_record, records)):
            raise FetchError(
                "evidence.drift", f"{self._path} answered a page without a list of objects at {path}.", DRIFT
            )
        count = _at(document, self.kind.page.total)
        return RawPage(
            request=request,
            number=response.number,
            document=document,
            records=[without(record, self.kind.secret) for record in records]
            if self.kind.secret
            else records,
            count=count if type(count) is int else None,
        )

    def _onward(self, page: RawPage) -> Request | None:
        if self.kind.page.index is not None:
            return self._placed(page, self.kind.page.index)
        linked = self._linked(page, self.kind.page.next)
        if linked is not None or self.form is None:
            return linked
        offset = page.document.get(self.form.offset)
        return self._posted(self.form, {self.form.offset: offset}) if offset else None

    def _placed(self, page: RawPage, parameter: str) -> Request | None:
        """
        Return the request for the page after one that was asked for by place; None after the last.

        A page without records ends the walk too: whether all have come is told by their count.
        """
        here = int(httpx.URL(page.request.url).params.get(parameter, "1"))
        onward = here + len(page.records)
        if not page.records or page.count is None or onward > page.count:
            return None
        self.parameters[parameter] = str(onward)
        return self._first()

    def _back(self, page: RawPage) -> Request | None:
        found = (self._linked(page, path) for path in self.kind.page.back)
        return next((request for request in found if request is not None), None)

    def _linked(self, page: RawPage, path: str | None) -> Request | None:
        link = _at(page.document, path) if path else None
        return None if link is None else Request("GET", self._checked(link, page.request.url))

    def _checked(self, link: JSON, here: str) -> str:
        """Return a link as the address of another page of this query; a token is sent nowhere else."""
        ours = self._url
        try:
            theirs = _address(link, here)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise FetchError(
                "evidence.drift", f"{self._path} links to the next page by what is no address.", DRIFT
            ) from None
        if _origin(theirs) != _origin(ours) or theirs.userinfo:
            raise FetchError(
                "evidence.foreign-link",
                f"{self._path} links to another origin ({_shown(theirs)} instead of {_shown(ours)}); "
                "nothing was sent there.",
                "If a gateway stands between, set api_url to the address that PingOne's links name.",
            )
        if _path(theirs) != _path(ours):
            raise FetchError(
                "evidence.foreign-link",
                f"{self._path} links to {theirs.path}, which is another endpoint; nothing was sent there.",
                AGAIN,
            )
        return str(theirs)


@lru_cache(maxsize=64)  # whether a page leads on is asked before it is followed
def _address(link: str, here: str) -> httpx.URL:
    """Return the address that a link on a page stands for, without its fragment."""
    address = parsed(link)
    if not address.is_absolute_url:
        address = parsed(here).join(address)
    return address.copy_with(fragment=None) if address.fragment else address


def endless(what: str, when: str) -> FetchError:
    """Return the error for pages without end."""
    return FetchError(
        "evidence.endless", f"{what} still links on {when}.", "Shorten the window, or run again."
    )


def _at(document: JSON, path: str) -> JSON:
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def _shown(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _path(url: httpx.URL) -> bytes:
    return url.raw_path.partition(b"?")[0].lower()  # identifiers may come back in lower case
