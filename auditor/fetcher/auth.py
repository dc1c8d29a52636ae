"""Tokens of worker applications: OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth

from auditor.fetcher.failures import FetchError, described, quoted
from auditor.fetcher.secrets import fetched_secret
from auditor.fetcher.session import MAX_SKEW_S, Request, Response, Session
from auditor.model.environment import Credentials, Environment
from auditor.model.secret import Concealed, Secret
from auditor.model.value import JSON

_log = logging.getLogger(__name__)

EARLY: Final = timedelta(seconds=60)
"""A token is renewed this long before it expires, so that it does not expire on its way."""

_LIFETIME: Final = timedelta(hours=1)  # "expires_in": 3600, in every document
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


class Tokens:
    """
    The token of one environment's worker application, asked for when it is needed and renewed when it is old.

    Several queries share it; only one of them asks for a new one. Where the first is not given, or any is
    refused, no other is asked for: the answer would be the same, and who keeps on trying may be locked out.
    """

    def __init__(
        self,
        environment: Environment,
        session: Session,
        clock: Callable[[], datetime],
        concealed: Concealed,
    ) -> None:
        self._environment = environment
        self._session = session
        self._clock = clock
        self._concealed = concealed
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._renew_at: datetime | None = None
        self._failed: FetchError | None = None
        self._secret: Secret | None = None
        if environment.credentials and isinstance(environment.credentials.client_secret, Secret):
            self._learn(environment.credentials, environment.credentials.client_secret)

    async def token(self, *, not_this: Secret | None = None) -> Secret:
        """
        Return a token that is good for a request now.

        *not_this* is a token that the API has just refused: a newer one is asked for, unless another query
        has done so already.

        Raises:
            FetchError: there are no credentials, or the token endpoint does not give a token for them.
        """
        async with self._lock:
            if self._failed is not None:
                raise self._failed
            old = self._renew_at is None or self._clock() >= self._renew_at
            if self._token is None or old or self._token is not_this:
                try:
                    self._token = await self._ask()
                except FetchError as error:
                    if self._token is None or error.failure.code.startswith("credentials."):
                        self._failed = error
                    raise
            return self._token

    def _learn(self, credentials: Credentials, secret: Secret) -> None:
        for text in _spellings(credentials, secret):
            self._concealed.learn(text)

    async def _ask(self) -> Secret:
        environment, credentials = self._environment, self._environment.credentials
        if credentials is None or environment.auth_url is None:
            raise missing_credentials(environment)
        if self._secret is None:
            self._secret = await fetched_secret(credentials.client_secret)
            self._learn(credentials, self._secret)
        asked_at = self._clock()
        url, headers, body = _proven(
            credentials,
            self._secret,
            f"{environment.auth_url}/{credentials.environment_id}/as/token",
            asked_at,
        )
        response = await self._session.send(Request("POST", url, body), headers=headers)
        match response.document:
            case {"access_token": str(token)} if _BEARER.fullmatch(token):
                lifetime = _lifetime(response.document)
                self._renew_at = asked_at + lifetime - min(EARLY, lifetime / 2)
                self._concealed.learn(token)
                _log.debug("%s: new token from %s", environment.name, environment.auth_url)
                return Secret(token)
        raise _no_token(response, credentials)


def _proven(
    credentials: Credentials, client_secret: Secret, url: str, now: datetime
) -> tuple[str, dict[str, str], bytes]:
    """Return URL, headers and body of a token request with the proof of who asks."""
    client_id, secret = credentials.client_id, client_secret.reveal()
    method: Any = credentials.auth_method
    if method == "client_secret_basic":
        client_id, secret = quote_plus(client_id), quote_plus(secret)  # RFC 6749, section 2.3.1
    elif method in ("client_secret_jwt", "private_key_jwt"):
        from authlib.oauth2 import rfc7523  # the cryptography behind it takes long to load

        signature = rfc7523.ClientSecretJWT if method == "client_secret_jwt" else rfc7523.PrivateKeyJWT
        issued = int(now.timestamp())
        method = signature(claims={"iat": issued, "exp": issued + 300})
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    prepare: Callable[..., tuple[str, dict[str, str], str]] = ClientAuth(client_id, secret, method).prepare
    try:
        url, headers, body = prepare("POST", url, form, "grant_type=client_credentials")
    except ValueError:  # which may quote the key
        raise FetchError(
            "credentials.unusable",
            f"The client secret can not be used for {credentials.auth_method}.",
            "For private_key_jwt it must be an RSA key in PEM form.",
        ) from None
    return url, headers, body.encode()


def _lifetime(answer: dict[str, JSON]) -> timedelta:
    """Return how long a token is good; a refused one is renewed in any case."""
    told = answer.get("expires_in")
    return timedelta(seconds=told) if type(told) is int and 0 < told < 10**9 else _LIFETIME


def _no_token(response: Response, credentials: Credentials) -> FetchError:
    told = quoted(response.body)
    if response.status in (400, 401, 403):
        return FetchError(
            "credentials.refused",
            f"The token endpoint refused the worker application (status {response.status}).{told}{_clocks(response)}",
            "Check client id, client secret, the worker application's environment id and its token endpoint "
            f"authentication method (now {credentials.auth_method}).",
        )
    return FetchError(
        "credentials.token-endpoint",
        "The token endpoint did not answer with a token, but with "
        f"{described(response.content_type)} (status {response.status}).{told}",
        "Check auth_url or the region, the worker application's environment id, and whether a proxy stands "
        "between.",
    )


def _clocks(response: Response) -> str:
    """Return what a signed assertion may be refused for: it is good for some minutes of PingOne's clock only."""
    skew_s = response.clock_skew_s or 0
    return f" Its clock and ours are {abs(skew_s):,.0f} s apart." if abs(skew_s) > MAX_SKEW_S else ""


def _spellings(credentials: Credentials, client_secret: Secret) -> Iterator[str]:
    """Yield what must not be shown, in every form in which it is sent; a key of several lines by line."""
    secret = client_secret.reveal()
    pair = f"{quote_plus(credentials.client_id)}:{quote_plus(secret)}"
    yield from (*secret.splitlines(), quote_plus(secret), b64encode(pair.encode()).decode())


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that carries a token (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def missing_organization(environment: Environment) -> FetchError:
    """Return the error for what belongs to an organization, where nothing says which."""
    return FetchError(
        "credentials.missing",
        f'The organization of the environment "{environment.name}" is not known.',
        "Write organization_id: into auditor.yaml.",
    )


def missing_credentials(environment: Environment) -> FetchError:
    """Return the error for an environment that can not be asked, with what would be needed."""
    needed = ", ".join(environment.missing) or "credentials"
    return FetchError(
        "credentials.missing",
        f'The environment "{environment.name}" can not be asked. Not set: {needed}.',
        "Set the environment variables, or try the built-in simulator first: --simulate.",
    )
