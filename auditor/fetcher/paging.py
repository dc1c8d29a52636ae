"""From a first request to the last page: links followed, never trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import orjson

from auditor.fetcher.auth import describe
from auditor.fetcher.failures import FetchError, largest_page, refused
from auditor.fetcher.session import Response
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON, parse_json

MAX_PAGES: Final = 100_000
"""Pages of one slice; an endpoint that links on and on is not read for ever."""

Send = Callable[[str, str, bytes | None], Awaitable[Response]]
"""Sends `(method, url, content)` with a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPage:
    """One page as received: its records and what it says of the whole."""

    records: list[dict[str, Any]]
    count: int | None
    response: Response


@dataclass(slots=True, kw_only=True)
class Walk:
    """
    The pages of one slice.

    `url` is the first request's without parameters; `parameters` are sent with the first request only, since
    PingOne's links hold nothing but a cursor and are followed verbatim. `post` sends them as a body.
    """

    kind: ResourceKind
    url: str
    parameters: dict[str, str]
    post: bool
    send: Send
    seen: set[tuple[str, bytes | None]] = field(default_factory=set)
    backwards: bool = False

    async def pages(self) -> AsyncIterator[RawPage]:
        """
        Yield the pages in the order of their links.

        A page without `next` is the last; where the very first page has none but a link back, the rest
        lies there (seed "Read Active Identity Counts by Date Range" shows such a page).

        Raises:
            FetchError: a page is refused, is no page, or links where no page of this query can be.
        """
        method, url, content = self._first()
        number = 0
        while True:
            number += 1
            if number > MAX_PAGES:
                raise FetchError(
                    "evidence.endless",
                    f"{self._what} links on after {MAX_PAGES:,} pages.",
                    "Shorten the window.",
                )
            if (url, content) in self.seen:
                raise FetchError(
                    "evidence.loop",
                    f"{self._what} links to a page that was read already; the rest can not be reached.",
                    "Run again; if it stays so, report it to Ping Identity with the correlation ids.",
                )
            self.seen.add((url, content))
            response = await self.send(method, url, content)
            if number == 1 and (smaller := self._smaller_page(response)) is not None:
                self.parameters[smaller[0]] = str(smaller[1])
                method, url, content = self._first()
                response = await self.send(method, url, content)
            document = self._document(response)
            yield RawPage(records=self._records(document), count=_count(document), response=response)
            following = self._following(document, url, first=number == 1)
            if following is None:
                return
            method, url, content = following

    @property
    def _what(self) -> str:
        return urlsplit(self.url).path

    def _first(self) -> tuple[str, str, bytes | None]:
        if not self.post:
            query = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.parameters.items())
            return "GET", f"{self.url}?{query}" if query else self.url, None
        return "POST", self.url, self._body(None)

    def _body(self, offset: str | None) -> bytes:
        form = self.kind.post
        limit = self.kind.page.limit
        body: dict[str, Any] = {}
        for name, value in self.parameters.items():
            if limit is not None and name == limit.parameter and form is not None:
                body[form.limit] = int(value)
            else:
                body[name] = value
        if offset is not None and form is not None:
            body[form.offset] = offset
        return orjson.dumps(body)

    def _smaller_page(self, response: Response) -> tuple[str, int] | None:
        """Return the page size that the endpoint allows, where it refused the one that was asked for."""
        limit = self.kind.page.limit
        if response.status != 400 or limit is None:
            return None
        largest = largest_page(response.body, limit.parameter)
        if largest is None or largest >= int(self.parameters.get(limit.parameter, 0)):
            return None
        return limit.parameter, largest

    def _document(self, response: Response) -> dict[str, Any]:
        if response.status != 200:
            raise refused(response.status, response.body, self._what, self.kind.roles)
        try:
            document = parse_json(response.body)
        except ValueError as error:
            raise FetchError(
                "evidence.not-json",
                f"{self._what} answered with {describe(response.content_type)}, which is no JSON: {error}.",
                "Check whether a gateway or proxy answers instead of PingOne.",
            ) from None
        if not isinstance(document, dict):
            raise FetchError("evidence.drift", f"{self._what} answered with no object.", _DRIFT)
        return document

    def _records(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        path = self.kind.page.items
        found = _at(document, path)
        if not isinstance(found, list):
            raise FetchError("evidence.drift", f"{self._what} answered a page without a list {path}.", _DRIFT)
        if not all(isinstance(record, dict) for record in found):
            raise FetchError("evidence.drift", f"{self._what} answered records that are no objects.", _DRIFT)
        return found

    def _following(
        self, document: dict[str, Any], url: str, *, first: bool
    ) -> tuple[str, str, bytes | None] | None:
        page = self.kind.page
        if page.next is None:
            return None
        link = _at(document, page.next)
        if link is None and (first or self.backwards):
            link = next((found for path in page.back if (found := _at(document, path)) is not None), None)
            self.backwards = link is not None
        elif first:
            self.backwards = False
        if link is not None:
            return "GET", self._checked(link, url), None
        offset = document.get(self.kind.post.offset) if self.post and self.kind.post else None
        if offset:
            return "POST", self.url, self._body(str(offset))
        return None

    def _checked(self, link: JSON, url: str) -> str:
        """Return a link that stays on this query's endpoint; a token is sent nowhere else."""
        target = urljoin(url, link) if isinstance(link, str) else ""
        ours, theirs = urlsplit(self.url), urlsplit(target)
        if (theirs.scheme, theirs.netloc.casefold()) != (ours.scheme, ours.netloc.casefold()):
            raise FetchError(
                "evidence.foreign-link",
                f"{self._what} links to another origin ({theirs.scheme or 'no scheme'}://{theirs.hostname or ''} "
                f"instead of {ours.scheme}://{ours.hostname}); nothing was sent there.",
                "If a gateway stands between, set api_url to the address that PingOne's links name.",
            )
        if theirs.path != ours.path:
            raise FetchError(
                "evidence.foreign-link",
                f"{self._what} links to {theirs.path}, which is another endpoint; nothing was sent there.",
                "Run again; if it stays so, report it to Ping Identity with the correlation ids.",
            )
        return target


_DRIFT: Final = "PingOne's answer has changed its shape: update the auditor, or report it."


def _at(document: JSON, path: str) -> JSON:
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _count(document: dict[str, Any]) -> int | None:
    count = document.get("count")
    return count if isinstance(count, int) and not isinstance(count, bool) else None
