"""The project: which policies are held against which environments (`auditor.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from auditor.model.document import Document, Many, Said
from auditor.model.environment import AuthMethod, Environment
from auditor.model.framework import Framework
from auditor.model.policy import Identifier, PolicyFile, Severity
from auditor.model.resource import Catalogue
from auditor.model.value import Values
from auditor.model.waiver import Waiver, WaiverPolicy


class PolicySource(Document):
    """A pack with what this project changes of it."""

    pack: str
    """Name of a shipped pack, or a file or folder."""
    exclude: dict[Identifier, Said] = {}
    """Checks left out, each with the reason; they show as skipped."""
    severity: dict[Identifier, Severity] = {}
    """Other severities, by check."""
    controls: dict[Identifier, dict[str, Many[str]]] = {}
    """Other criteria, by check and framework: `{some-check: {soc2: [CC6.1]}}`; `[]` means none."""
    variables: dict[str, Any] = {}


class CredentialsDocument(Document):
    """Where the credentials come from: `${env.NAME}` names an environment variable."""

    environment_id: str = "${env.PINGONE_ENVIRONMENT_ID}"
    """The environment that holds the worker application."""
    client_id: str = "${env.PINGONE_CLIENT_ID}"
    client_secret: str = "${env.PINGONE_CLIENT_SECRET}"  # noqa: S105  # the name of a variable
    """Only ever a reference: a secret in a file is refused."""
    auth_method: AuthMethod = "client_secret_basic"


class EnvironmentDocument(Document):
    """One environment to audit."""

    id: str
    region: str | None = None
    """NA, CA, EU, AU, SG or AP."""
    api_url: str | None = None
    """Instead of a region."""
    auth_url: str | None = None
    credentials: CredentialsDocument = CredentialsDocument()
    variables: dict[str, Any] = {}


class ProjectFile(Document):
    """The file `auditor.yaml`."""

    version: Literal[1]
    policies: Many[str | PolicySource] = Field(min_length=1, strict=False)
    """Files, folders and packs."""
    resources: Many[str] = ()
    """The project's own resource kinds."""
    frameworks: Many[str] = ()
    """The project's own frameworks, or its own form of a shipped one: files of `auditor schema framework`."""
    accept_values: dict[str, Many[str]] = {}
    """Values that a resource kind does not know yet, by attribute: `action.type: [NEW.TYPE]`."""
    organization_id: str | None = None
    waiver_policy: WaiverPolicy = WaiverPolicy()
    """What waivers of `waivers.yaml` may cover."""
    environments: dict[str, EnvironmentDocument] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPack:
    """
    A pack with the files that make it up.

    `files` holds the documents by file name as shown to people; `excluded`, `severities` and `controls` are what
    the project says of its checks.
    """

    id: str
    title: str
    files: Mapping[str, PolicyFile]
    excluded: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    controls: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """
    Everything that people wrote, read and checked on its own.

    `values` holds the variables of each pack for each environment, by (environment name, pack id).
    `sources` holds the text of every file that was read, so that an address can become a location.
    """

    packs: tuple[LoadedPack, ...]
    environments: tuple[Environment, ...]
    catalogue: Catalogue
    frameworks: tuple[Framework, ...] = ()
    """Those that the command line selects: checks that speak to none of them are left out."""
    incomplete: frozenset[str] = frozenset()
    """Packs of which something could not be read, such as the file that declares their variables."""
    own_resources: frozenset[str] = frozenset()
    """Kinds that the project defines itself; the plan marks them."""
    accept_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[tuple[str, str], Values] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    waiver_policy: WaiverPolicy = field(default_factory=WaiverPolicy)
    sources: Mapping[str, str] = field(default_factory=dict)
