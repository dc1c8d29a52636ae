"""The token endpoint, and the tokens it has given out."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from auditor.simulator.cast import digest, uuid
from auditor.simulator.settings import Settings

FORM: Final = "application/x-www-form-urlencoded"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# DigestInfo of RFC 8017, section 9.2, note 1.
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class OAuthError(Exception):
    """A refusal of the token endpoint: an OAuth error body (RFC 6749, section 5.2), not one of PingOne's."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.document = {"error": error, "error_description": description}


@dataclass(slots=True)
class _Issued:
    expires: datetime
    uses: int = 0


class Tokens:
    """Gives out access tokens for one worker application and knows which of them are good."""

    def __init__(self, settings: Settings, environment_id: str, organization_id: str) -> None:
        self._settings = settings
        self._environment_id = environment_id
        self._organization_id = organization_id
        self._issued: dict[str, _Issued] = {}

    def grant(
        self, environment_id: str, headers: Mapping[str, str], body: str, url: str, now: datetime
    ) -> dict[str, Any]:
        """
        Return the answer to a request for a token, at the URL at which it was asked.

        Raises:
            OAuthError: it is no client credentials grant of the one client, proven in the one way that the
                application is set to.
        """
        if headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
            raise OAuthError(400, "invalid_request", f"The body must be {FORM}.")
        pairs = parse_qsl(body, keep_blank_values=True)
        form = dict(pairs)
        if len(form) != len(pairs):
            raise OAuthError(400, "invalid_request", "A parameter is given more than once.")
        if "grant_type" not in form:
            raise OAuthError(400, "invalid_request", "grant_type is missing.")
        if form["grant_type"] != "client_credentials":
            raise OAuthError(400, "unsupported_grant_type", "Only client_credentials is supported here.")
        used = _methods(headers, form)
        if len(used) > 1:
            raise OAuthError(400, "invalid_request", "The client authenticates in more than one way.")
        if (
            environment_id != self._environment_id
            or not used
            or not self._authentic(used[0], headers, form, url, now)
        ):
            raise OAuthError(
                401, "invalid_client", "Unknown client, or not authenticated as the client is set to."
            )
        return self._issue(now)

    def accepts(self, authorization: str, now: datetime, uses: int | None = None) -> bool:
        """Return whether a header carries a good token; `uses` is after how many requests one expires early."""
        scheme, _, token = authorization.partition(" ")
        issued = self._issued.get(token)
        if scheme.lower() != "bearer" or issued is None or now >= issued.expires:
            return False
        issued.uses += 1
        return uses is None or issued.uses <= uses

    def _issue(self, now: datetime) -> dict[str, Any]:
        lifetime = self._settings.token_lifetime_s
        issued_at = int(now.timestamp())
        claims = {
            "client_id": self._settings.client_id,
            "iss": f"/{self._environment_id}/as",
            "jti": uuid(digest("token", len(self._issued))),
            "iat": issued_at,
            "exp": issued_at + lifetime,
            "env": self._environment_id,
            "org": self._organization_id,
        }
        # It looks like PingOne's JWT; nobody but this object ever checks it.
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "kid": "simulator"}, claims)]
        parts.append(bytes.fromhex(digest("signature", claims["jti"])))
        token = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        self._issued[token] = _Issued(now + timedelta(seconds=lifetime))
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime}

    def _authentic(
        self, used: str, headers: Mapping[str, str], form: Mapping[str, str], url: str, now: datetime
    ) -> bool:
        settings = self._settings
        match used:
            case "basic":
                given = _basic(headers["authorization"])
                method = "client_secret_basic"
            case "post":
                given = (form.get("client_id", ""), form["client_secret"])
                method = "client_secret_post"
            case _:
                return settings.auth_method.endswith("_jwt") and self._asserted(form, url, now)
        return settings.auth_method == method and given == (settings.client_id, settings.client_secret)

    def _asserted(self, form: Mapping[str, str], url: str, now: datetime) -> bool:
        """Return whether a client assertion is right (RFC 7523, section 3; RFC 7515, section 5.2)."""
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            return False
        try:
            head, payload, signature = form["client_assertion"].split(".")
            algorithm, claims = str(json.loads(_unpadded(head))["alg"]), json.loads(_unpadded(payload))
            signed, mark = f"{head}.{payload}".encode(), _unpadded(signature)
            audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
            mine = claims["iss"] == claims["sub"] == self._settings.client_id
            lasts = claims["exp"] > now.timestamp()
        except (ValueError, KeyError, TypeError):
            return False
        authentic = self._signed(algorithm, signed, mark)
        return authentic and mine and lasts and bool({url, url.removesuffix("/token")} & set(audience))

    def _signed(self, algorithm: str, signed: bytes, mark: bytes) -> bool:
        name = f"sha{algorithm[2:]}"
        if name not in _DIGEST_INFO:
            return False
        if self._settings.auth_method == "client_secret_jwt":
            expected = hmac.digest(self._settings.client_secret.encode(), signed, name)
            return algorithm.startswith("HS") and hmac.compare_digest(expected, mark)
        key = self._settings.public_key
        if not algorithm.startswith("RS") or key is None:
            return False
        modulus, exponent = (int.from_bytes(_unpadded(key[part])) for part in ("n", "e"))
        length = (modulus.bit_length() + 7) // 8
        tail = b"\x00" + _DIGEST_INFO[name] + hashlib.new(name, signed).digest()
        encoded = b"\x00\x01".ljust(length - len(tail), b"\xff") + tail
        return pow(int.from_bytes(mark), exponent, modulus).to_bytes(length) == encoded


def _methods(headers: Mapping[str, str], form: Mapping[str, str]) -> list[str]:
    return [
        *(["basic"] if "authorization" in headers else []),
        *(["post"] if "client_secret" in form else []),
        *(["assertion"] if "client_assertion" in form else []),
    ]


def _basic(authorization: str) -> tuple[str, str] | None:
    """Return client and secret, each form-encoded before they were joined (RFC 6749, section 2.3.1)."""
    scheme, _, value = authorization.partition(" ")
    try:
        client_id, _, secret = b64decode(value, validate=True).decode().partition(":")
    except (NoBase64, UnicodeDecodeError):
        return None
    return (unquote_plus(client_id), unquote_plus(secret)) if scheme.lower() == "basic" else None


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
