"""Tokens of worker applications: OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from authlib.oauth2.auth import ClientAuth

from auditor.fetcher.failures import FetchError, words
from auditor.fetcher.session import Session
from auditor.model.environment import Environment
from auditor.model.secret import Secret
from auditor.model.value import parse_json

_EARLY: Final = timedelta(seconds=60)
"""A token is renewed this long before it expires, so that it does not expire on its way."""


class Tokens:
    """
    The token of one environment's worker application, asked for when it is needed and renewed when it is old.

    Several queries share it; only one of them asks for a new one.
    """

    def __init__(self, environment: Environment, session: Session, clock: Callable[[], datetime]) -> None:
        self._environment = environment
        self._session = session
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._renew_at: datetime | None = None

    async def token(self, *, not_this: Secret | None = None) -> Secret:
        """
        Return a token that is good for a request now.

        *not_this* is a token that the API has just refused: a newer one is asked for, unless another query
        has done so already.

        Raises:
            FetchError: there are no credentials, or the token endpoint does not give a token for them.
        """
        async with self._lock:
            stale = self._renew_at is None or self._clock() >= self._renew_at
            if self._token is None or stale or self._token is not_this:
                self._token = await self._ask()
            return self._token

    async def _ask(self) -> Secret:
        environment, credentials = self._environment, self._environment.credentials
        if credentials is None or environment.auth_url is None:
            raise missing_credentials(environment)
        url = f"{environment.auth_url}/{credentials.environment_id}/as/token"
        client = ClientAuth(
            credentials.client_id, credentials.client_secret.reveal(), credentials.auth_method
        )
        prepare: Callable[..., tuple[str, dict[str, str], str]] = client.prepare
        url, headers, body = prepare(
            "POST",
            url,
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            "grant_type=client_credentials",
        )
        response = await self._session.send("POST", url, headers=headers, content=body.encode())
        if response.status != 200:
            raise FetchError(
                "credentials.refused",
                f"The token endpoint answered with status {response.status}. {words(response.body)}".rstrip(),
                "Check client id, client secret, the worker application's environment id and its token endpoint "
                f"authentication method (now {credentials.auth_method}).",
            )
        try:
            answer = parse_json(response.body)
        except ValueError:
            answer = None
        match answer:
            case {"access_token": str(token), "expires_in": int(lifetime_s)} if token:
                lifetime = max(timedelta(seconds=lifetime_s) - _EARLY, timedelta())
                self._renew_at = self._clock() + lifetime
                return Secret(token)
        raise FetchError(
            "credentials.token-endpoint",
            f"The token endpoint did not answer with a token, but with {describe(response.content_type)}.",
            "Check auth_url or the region, and whether a proxy stands between.",
        )


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that carries a token (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def missing_credentials(environment: Environment) -> FetchError:
    """Return the error for an environment that can not be asked, with what would be needed."""
    needed = ", ".join(environment.missing) or "credentials"
    return FetchError(
        "credentials.missing",
        f'The environment "{environment.name}" can not be asked. Not set: {needed}.',
        "Set the environment variables, or try the built-in simulator first: --simulate.",
    )


def describe(content_type: str) -> str:
    """Return what kind of answer a content type names, for people."""
    kind = content_type.partition(";")[0].strip()
    return {"text/html": "an HTML page", "": "something without a content type"}.get(kind, kind)
