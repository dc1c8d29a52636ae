"""Answers kept on disk before anything is made of them, and recalled when the same is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import orjson

from auditor.fetcher.answers import reader
from auditor.fetcher.failures import FetchError
from auditor.fetcher.session import Request, Response
from auditor.model.resource import ResourceKind, without
from auditor.model.value import JSON
from auditor.runs import Archive

KEPT_HEADERS: Final = ("content-type", "correlation-id", "date")
MAX_HEADER: Final = 500
"""Characters that are kept of a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """
    The archive as one query uses it.

    `conceal` takes secrets out of a text: what a server repeats of them is not written to disk.
    """

    archive: Archive
    query: str
    kind: ResourceKind
    clock: Callable[[], datetime]
    conceal: Callable[[str], str]

    async def recalled(self, request: Request) -> Response | None:
        """
        Return the answer that was kept for a request, if one was.

        Raises:
            FetchError: the run can not ask again, and has no usable answer.
        """
        if self.archive.folder is None:
            return None
        url = self.conceal(request.url)
        found = None
        try:
            if self.archive.recalls:
                found = await asyncio.to_thread(
                    self.archive.answer, self.query, request.method, url, request.content
                )
        except ValueError as error:
            raise FetchError(
                "evidence.changed",
                f"The run does not hold what it received: {error}.",
                "See what was changed: auditor verify RUN",
            ) from None
        if found is None and self.archive.sealed:
            raise FetchError(
                "evidence.not-recorded",
                f"The run holds no answer to {request.method} {url}.",
                "Go on with it where the tenant can be asked: auditor resume RUN",
            )
        if found is None:
            return None
        answer, body = found
        return Response(
            status=answer.status,
            headers=answer.headers,
            body=body,
            document=self._document(body) if answer.status == 200 else None,
            number=answer.number,
            recalled=True,
            at=answer.at,
        )

    async def kept(self, request: Request, response: Response) -> Response:
        """
        Put an answer on disk and return it with its number.

        Raises:
            FetchError: it can not be written.
        """
        number = self.archive.next_number(self.query)
        if self.archive.folder is not None:
            try:
                await asyncio.to_thread(self._keep, number, request, response, self.clock())
            except OSError as error:
                raise not_kept(error) from None
        return replace(response, number=number)

    def _keep(self, number: int, request: Request, response: Response, at: datetime) -> None:
        body = self._fit_to_keep(response)
        self.archive.keep(
            number,
            self.query,
            method=request.method,
            url=self.conceal(request.url),
            content=request.content,
            status=response.status,
            headers=self._headers(response.headers),
            at=at,
            body=body,
            stripped=body is not response.body,
        )

    def _document(self, body: bytes) -> JSON:
        try:
            return reader(self.kind)(body)
        except ValueError:
            return None

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            name: self.conceal(value)[:MAX_HEADER]
            for name, value in headers.items()
            if name in KEPT_HEADERS or "api-deprecation" in name
        }

    def _fit_to_keep(self, response: Response) -> bytes:
        """Return the body itself, or what is left of it without the secrets that it holds."""
        body = response.body
        if self.kind.secret and response.status == 200:
            items = self.kind.page.items
            document: JSON = response.document
            secret = [f"{items}.{path}" for path in self.kind.secret] if items else self.kind.secret
            body = orjson.dumps(without(document, secret)) if isinstance(document, dict) else b""
        # Bytes that are no UTF-8 come through as they are.
        text = body.decode("utf-8", "surrogateescape")
        concealed = self.conceal(text)
        return body if concealed == text else concealed.encode("utf-8", "surrogateescape")


def not_kept(error: OSError) -> FetchError:
    """Return the failure of a query whose answers can not be written to disk."""
    return FetchError(
        "evidence.not-kept",
        f"What was answered can not be kept: {error.strerror or error}.",
        "Make room, or set AUDITOR_DATA_DIR to a folder that has some; then go on: auditor resume RUN",
    )
