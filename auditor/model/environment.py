"""PingOne environments: which tenant is asked, where it lives, and with which credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from auditor.model.secret import Secret

AuthMethod = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
"""How a worker application proves itself (PingOne "Token endpoint authentication methods")."""

REGION_DOMAINS: Final = {
    "NA": "pingone.com",
    "CA": "pingone.ca",
    "EU": "pingone.eu",
    "AU": "pingone.com.au",
    "SG": "pingone.sg",
    "AP": "pingone.asia",
}
"""Domain by region code (PingOne "API requests"); an unknown code would be somebody else's region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """
    Where a secret is fetched from when it is needed: a file, or the output of a command.

    `variable` is the environment variable that names it. Its `value` is not shown: a command may hold secrets.
    """

    variable: str
    way: Literal["file", "command"]
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A worker application that may read the tenant."""

    environment_id: str
    """The environment that holds the worker application; its roles may reach other environments."""
    client_id: str
    client_secret: Secret | SecretSource
    auth_method: AuthMethod = "client_secret_basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """
    One environment to audit.

    `id`, the URLs and `credentials` are absent where nothing gave them: planning needs none of them.
    `missing` then says, per absent thing, what would give it.
    """

    name: str
    id: str | None = None
    region: str | None = None
    api_url: str | None = None
    """Base of the API with its version: `https://api.pingone.com/v1`."""
    auth_url: str | None = None
    """Base of the token endpoint: `https://auth.pingone.com`."""
    organization_id: str | None = None
    credentials: Credentials | None = None
    missing: tuple[str, ...] = ()


def region_urls(region: str) -> tuple[str, str]:
    """
    Return API base and authentication base of a region code, in any case.

    Raises:
        KeyError: no such region.
    """
    domain = REGION_DOMAINS[region.upper()]
    return f"https://api.{domain}/v1", f"https://auth.{domain}"
