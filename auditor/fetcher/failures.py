"""How a request can end badly, in PingOne's own words where it gave any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditor.model.evidence import Failure
from auditor.model.value import JSON, parse_json


class FetchError(Exception):
    """A request, or the walk over pages that it belongs to, can not be completed."""

    def __init__(self, code: str, reason: str, help: str = "") -> None:
        super().__init__(reason)
        self.failure = Failure(code=code, reason=reason, help=help)


def refused(status: int, body: bytes, what: str, roles: tuple[str, ...] = ()) -> FetchError:
    """Return the error for a status that no repetition would change."""
    said = words(body)
    told = f" PingOne says: {said}" if said else ""
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
    return FetchError("query.failed", f"{what} was answered with status {status}.{told}", "Try again later.")


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
    return " ".join(" ".join(_parts(answer)).split())[:1_000]


def _parts(answer: JSON) -> Iterator[str]:
    if not isinstance(answer, dict):
        return
    code = answer.get("code") or answer.get("error")
    message = answer.get("message") or answer.get("error_description")
    yield ": ".join(str(part) for part in (code, message) if part)
    for detail in answer.get("details") or ():
        if not isinstance(detail, dict):
            continue
        named = ": ".join(str(detail[key]) for key in ("code", "target", "message") if detail.get(key))
        yield f"[{named}{_inner(detail)}]"
    if answer.get("id"):
        yield f"(id {answer['id']})"


def _inner(detail: dict[str, Any]) -> str:
    inner = inner_error(detail)
    shown = (
        f"{key} = {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in sorted(inner.items())
    )
    text = "; ".join(shown)
    return f"; {text}" if text else ""


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
    details = answer.get("details") if isinstance(answer, dict) else None
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict) or detail.get("code") != "OUT_OF_RANGE":
            continue
        if str(detail.get("target", parameter)).rsplit(".", 1)[-1] != parameter:
            continue
        largest = inner_error(detail).get("rangeMaximumValue")
        if isinstance(largest, int) and not isinstance(largest, bool) and largest > 0:
            return largest
    return None
