"""How a request can end badly, in PingOne's own words where it gave any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from auditor.model.evidence import Failure
from auditor.model.value import JSON, parse_json

AGAIN: Final = "Run again; if it stays so, report it to Ping Identity with the correlation ids."

DRIFT: Final = "PingOne's answer has changed its shape: update the auditor, or report it."


class FetchError(Exception):
    """A request, or the walk over pages that it belongs to, can not be completed."""

    def __init__(self, code: str, reason: str, help: str = "") -> None:
        super().__init__(reason)
        self.failure = Failure(code=code, reason=reason, help=help)


def drift(number: int, what: str) -> FetchError:
    """Return the error for a record, known by its number on its page, that is not as documented."""
    return FetchError("evidence.drift", f"Record {number} of a page is not as documented at {what}.", DRIFT)


def unreadable(error: Exception) -> Failure:
    """Return the failure of records that were given, where their file can not be read any more."""
    return Failure(
        code="records.unreadable",
        reason=f"The records can not be read: {error}.",
        help="Leave the file alone while it is read.",
    )


class FilterRefusedError(FetchError):
    """What was asked first is refused with status 400: another filter may be taken."""


def refused(status: int, body: bytes, what: str, roles: tuple[str, ...] = ()) -> FetchError:
    """Return the error for a status that no repetition would change; *what* was asked for."""
    told = quoted(body)
    match status:
        case 400 | 415 | 422:
            return FetchError(
                "query.refused",
                f"{what} was refused with status {status}.{told}",
                "Ask less of the server with --pushdown proven or --pushdown range; the verdicts are the same.",
            )
        case 401:
            return FetchError(
                "credentials.refused",
                f"{what} was refused with status 401, also with a new token.{told}",
                "Check that the worker application is enabled and has a role in this environment.",
            )
        case 403:
            may = f" One of these roles would do: {', '.join(roles)}." if roles else ""
            return FetchError(
                "query.forbidden",
                f"{what} is not allowed for this worker application (status 403).{told}",
                f"Give the worker application a role in this environment.{may}",
            )
        case 404:
            return FetchError(
                "query.not-found",
                f"{what} does not exist (status 404).{told}",
                "Check the environment's id and region.",
            )
    if 300 <= status < 400:
        return FetchError(
            "query.redirected",
            f"{what} was answered with a redirect (status {status}), and redirects are not followed.",
            "Check api_url or the proxy: a token is sent to no other address than the one configured.",
        )
    return FetchError(
        "query.failed",
        f"{what} was answered with status {status}.{told}",
        "Check api_url or the region, and whether a gateway or proxy stands between.",
    )


def quoted(body: bytes) -> str:
    """Return an error body's words as a sentence to append; empty where it has none."""
    said = words(body)
    return f" PingOne says: {said.rstrip('.')}." if said else ""


def words(body: bytes) -> str:
    """
    Return what an error body says, on one line.

    PingOne's own shape is `code`, `message` and `details[]` with `innerError` (in some documents
    `innererror`); token endpoints answer `error` and `error_description` (RFC 6749, section 5.2), gateways
    `message` alone or HTML, of which nothing is repeated.
    """
    try:
        answer = parse_json(body)
    except ValueError:
        return ""
    return " ".join(" ".join(_parts(answer)).split())


def _parts(answer: JSON) -> Iterator[str]:
    if not isinstance(answer, dict):
        return
    code = answer.get("code") or answer.get("error")
    message = answer.get("message") or answer.get("error_description")
    yield ": ".join(str(part) for part in (code, message) if part)
    for detail in details(answer):
        named = ": ".join(str(detail[key]) for key in ("code", "target", "message") if detail.get(key))
        yield f"[{'; '.join((named, *_inner(detail)))}]"
    if answer.get("id"):
        yield f"(id {answer['id']})"


def _inner(detail: dict[str, Any]) -> Iterator[str]:
    for key, value in sorted(inner_error(detail).items()):
        yield f"{key} = {', '.join(map(str, value)) if isinstance(value, list) else value}"


def details(answer: JSON) -> Iterator[dict[str, Any]]:
    """Yield the `details` of an error body, as far as they are objects."""
    found = answer.get("details") if isinstance(answer, dict) else None
    for detail in found if isinstance(found, list) else ():
        if isinstance(detail, dict):
            yield detail


def inner_error(detail: dict[str, Any]) -> dict[str, Any]:
    """Return the `innerError` of one detail, in either spelling of the documents."""
    inner = detail.get("innerError", detail.get("innererror"))
    return inner if isinstance(inner, dict) else {}


def largest_page(body: bytes, parameter: str) -> int | None:
    """Return the largest page size that an `OUT_OF_RANGE` error about the limit names."""
    try:
        answer = parse_json(body)
    except ValueError:
        return None
    for detail in details(answer):
        about = str(detail.get("target", parameter)).rpartition(".")[2]
        largest = inner_error(detail).get("rangeMaximumValue")
        if detail.get("code") == "OUT_OF_RANGE" and about == parameter and type(largest) is int:
            return largest
    return None


def described(content_type: str) -> str:
    """Return what kind of answer a content type names, for people."""
    kind = content_type.partition(";")[0].strip().casefold()
    return {"text/html": "an HTML page", "": "something without a content type"}.get(kind, kind)
