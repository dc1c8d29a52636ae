"""Answers that are not what was asked for, in the form of PingOne's error bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One entry of an error's `details`; `inner` becomes `innerError`."""

    code: str
    message: str
    target: str = ""
    inner: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the entry as JSON, without what is empty."""
        whole = {
            "code": self.code,
            "target": self.target,
            "message": self.message,
            "innerError": dict(self.inner),
        }
        return {key: value for key, value in whole.items() if value}


class Refusal(Exception):  # noqa: N818  # not an error of this program: an answer to a client
    """
    A refusal, with the status, code and details of the documentation ("Error codes").

    `headers` go with the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *details: Detail,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def document(self, identifier: str) -> dict[str, Any]:
        """Return the body; `identifier` is what a user would give to support."""
        body: dict[str, Any] = {"id": identifier, "code": self.code, "message": self.message}
        if self.details:
            body["details"] = [detail.document() for detail in self.details]
        return body


def invalid_data(code: str, target: str, message: str, **inner: object) -> Refusal:
    """Return a 400 INVALID_DATA with one detail."""
    detail = Detail(code=code, target=target, message=message, inner=inner)
    return Refusal(400, "INVALID_DATA", "The request holds a value that is not accepted.", detail)


def invalid_filter(message: str, **inner: object) -> Refusal:
    """Return a 400 for a filter that can not be read or names what the endpoint does not support."""
    return invalid_data("INVALID_FILTER", "filter", message, **inner)


def invalid_value(target: str, message: str, allowed: Sequence[str] = ()) -> Refusal:
    """Return a 400 for a value that is of the wrong kind, with those allowed where they can be listed."""
    inner = {"allowedValues": list(allowed)} if allowed else {}
    return invalid_data("INVALID_VALUE", target, message, **inner)


def out_of_range(target: str, message: str, minimum: int, maximum: int) -> Refusal:
    """Return a 400 for a number outside of its bounds, which are both allowed."""
    return invalid_data("OUT_OF_RANGE", target, message, rangeMinimumValue=minimum, rangeMaximumValue=maximum)


def required_value(target: str, message: str) -> Refusal:
    """Return a 400 for something that must be given and is not."""
    return invalid_data("REQUIRED_VALUE", target, message)


def unauthorized() -> Refusal:
    """Return the 401 for an access token that is missing, unknown or expired."""
    detail = Detail(
        code="INSUFFICIENT_PERMISSIONS", message="The access token is missing, unknown or expired."
    )
    return Refusal(401, "ACCESS_FAILED", "You do not have access to this resource.", detail)


def forbidden() -> Refusal:
    """Return the 403 for an environment without permission, without licence, or that does not exist."""
    detail = Detail(
        code="INSUFFICIENT_PERMISSIONS", message="No role of the client reaches this environment."
    )
    return Refusal(403, "ACCESS_FAILED", "You have no permissions or no licence for this request.", detail)


def not_found() -> Refusal:
    """Return the 404 for a path that leads nowhere."""
    return Refusal(404, "NOT_FOUND", "The requested resource was not found.")


def method_not_allowed(allowed: Sequence[str]) -> Refusal:
    """Return the 405; the documentation names no code for it."""
    message = "The method is not supported for this resource."
    return Refusal(405, "INVALID_REQUEST", message, headers={"allow": ", ".join(allowed)})


def unsupported_media_type() -> Refusal:
    """Return the 415 for a body that is not declared as JSON."""
    return Refusal(415, "INVALID_REQUEST", "The body must be application/json.")


def invalid_request(message: str) -> Refusal:
    """Return the 400 for a body that can not be read."""
    return Refusal(400, "INVALID_REQUEST", message)


def request_limited(retry_after_s: int, limit: int, *, header: str | None = None) -> Refusal:
    """Return the 429; `header` replaces the seconds in `Retry-After`, and an empty one leaves it out."""
    detail = Detail(
        code="LIMIT_EXCEEDED",
        message="Too many requests for this licence or address.",
        inner={"retryAfter": retry_after_s, "quotaLimit": limit},
    )
    value = str(retry_after_s) if header is None else header
    headers = {"retry-after": value} if value else {}
    return Refusal(429, "REQUEST_LIMITED", "The request is over the rate limit.", detail, headers=headers)


def unexpected_error() -> Refusal:
    """Return the 500."""
    return Refusal(500, "UNEXPECTED_ERROR", "An unexpected error occurred.")
