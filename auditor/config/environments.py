"""The environments to audit: which tenant, where it lives, and with which credentials."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from auditor.config.request import PROJECT_FILE, Reading, Request
from auditor.model.diagnostic import Diagnostic, Level, did_you_mean
from auditor.model.environment import REGION_DOMAINS, Credentials, Environment, SecretSource, region_urls
from auditor.model.project import EnvironmentDocument, ProjectFile
from auditor.model.secret import Secret
from auditor.model.source import Address

_UNDECLARED: Final = {"default": EnvironmentDocument(id="${env.PINGONE_ENVIRONMENT_ID}")}
"""What is audited where no project declares an environment: the variables of the process name it."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REFERENCE: Final = re.compile(r"\$\{env\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
# Nothing but scheme, host, port and path: whatever else a URL can hold, parsers disagree about it.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
)


def selected(
    document: ProjectFile | None, request: Request, reading: Reading
) -> tuple[tuple[Environment, ...], tuple[str, ...]]:
    """
    Return the environments that are asked for, and the names of those that policies are to be checked for.

    Where the choice itself is a mistake, no environment is returned, and the names are of all, so that other
    mistakes are found in the same run.
    """
    declared = document.environments if document and document.environments else None
    by_name = declared or _UNDECLARED
    if not _choice_is_sound(by_name, request, reading):
        return (), tuple(by_name)
    names = tuple(dict.fromkeys(request.environments)) or tuple(by_name)
    made = tuple(
        _Place(
            name=name,
            address=Address(file=PROJECT_FILE).at("environments", name) if declared else None,
            request=request,
            reading=reading,
        ).environment(by_name[name], document)
        for name in names
    )
    return made, names


def _choice_is_sound(declared: Mapping[str, object], request: Request, reading: Reading) -> bool:
    unknown = [name for name in request.environments if name not in declared]
    for name in unknown:
        reading.problem(
            "project.unknown-environment",
            "Unknown environment",
            f'The project has no environment "{name}".',
            help=did_you_mean(name, declared),
            subject="--environment",
        )
    unchosen = request.choose and not request.environments and len(declared) > 1
    if unchosen:
        reading.problem(
            "project.choose-environment",
            "Environment not chosen",
            f"The project has {len(declared)} environments, and none is named.",
            help=f"Name one or more with --environment: {', '.join(declared)}.",
            subject="--environment",
        )
    return not unknown and not unchosen


class _Place:
    """One environment of the project file, or the one that only the process's variables describe."""

    def __init__(self, *, name: str, address: Address | None, request: Request, reading: Reading) -> None:
        self.name = name
        self.address = address
        self.request = request
        self.reading = reading
        self.missing: list[str] = []

    def environment(self, document: EnvironmentDocument, project: ProjectFile | None) -> Environment:
        environment_id = self._uuid(document.id, self._at("id"))
        region, api_url, auth_url = self._urls(document)
        credentials = self._credentials(document)
        organization = project.organization_id if project else None
        organization_id = organization and self._uuid(
            organization, Address(file=PROJECT_FILE).at("organization_id"), needed=False
        )
        return Environment(
            name=self.name,
            id=environment_id,
            region=region,
            api_url=api_url,
            auth_url=auth_url,
            organization_id=organization_id,
            credentials=credentials,
            missing=tuple(dict.fromkeys(self.missing)),
        )

    def _at(self, *steps: str) -> Address | None:
        return self.address.at(*steps) if self.address else None

    # Where it lives

    def _urls(self, document: EnvironmentDocument) -> tuple[str | None, str | None, str | None]:
        """Return region, API base and authentication base; the project wins over the process's variables."""
        given = {"api_url": document.api_url, "auth_url": document.auth_url}
        if document.region is not None:
            if any(url is not None for url in given.values()):
                self.reading.problem(
                    "schema.bad-value",
                    "Bad value",
                    "An environment has either a region, or api_url and auth_url.",
                    help="Remove one of the two.",
                    address=self._at("region"),
                )
                return None, None, None
            self._warn_of_ignored(document.region)
            return self._region(document.region, self._at("region"), "")
        urls = []
        for key, written in given.items():
            variable, value = self._variable(f"PINGONE_{key.upper()}")
            address = None if written is None else self._at(key)
            url = value if written is None else written
            is_sound = url is not None and not self._is_refused(url, address, variable)
            urls.append(url.rstrip("/") if url and is_sound else None)
        api_url, auth_url = urls
        if api_url or auth_url:
            if not (api_url and auth_url):
                lacking, there = ("auth_url", "api_url") if api_url else ("api_url", "auth_url")
                self.missing.append(f"PINGONE_{lacking.upper()} beside the {there}")
            return None, api_url, auth_url
        variable, region = self._variable("PINGONE_REGION_CODE")
        if region is None:
            self.missing.append(
                "a region (PINGONE_REGION_CODE), or both PINGONE_API_URL and PINGONE_AUTH_URL"
            )
            return None, None, None
        return self._region(region, None, variable)

    def _warn_of_ignored(self, region: str) -> None:
        """Say that URLs of the process are not used: whoever sets them means another tenant than the project."""
        ignored = [name for name in ("PINGONE_API_URL", "PINGONE_AUTH_URL") if self._variable(name)[1]]
        if ignored:
            problem = Diagnostic(
                code="project.ignored-url",
                summary="URL not used",
                detail=f"{' and '.join(ignored)} are set, and the project says region: {region}, which is asked.",
                help="Remove region from the project to use them, or unset them.",
                level=Level.WARNING,
                address=self._at("region"),
            )
            self.reading.problems.append(problem)

    def _region(
        self, code: str, address: Address | None, variable: str
    ) -> tuple[str | None, str | None, str | None]:
        try:
            return (code.upper(), *region_urls(code))
        except KeyError:
            self.reading.problem(
                "project.unknown-region",
                "Unknown region",
                f'"{code}" is no region of PingOne.',
                help=f"Use one of {', '.join(REGION_DOMAINS)}.",
                address=address,
                subject=variable,
            )
            return None, None, None

    def _is_refused(self, url: str, address: Address | None, variable: str) -> bool:
        """Refuse a host that is neither PingOne's nor loopback nor allowed from outside the project."""
        match = _URL.fullmatch(url)
        if match is None:
            detail = (
                "It is no base URL such as https://api.pingone.com/v1: scheme, host and path, nothing else."
            )
            help = "Write it so; a user, a password or a query have no place in it."
        else:
            host = match["host"].strip("[]").casefold()
            with_port = f"{host}{match['port'] or ''}"
            allowed = {name.casefold() for name in self.request.allow_hosts}
            if match["scheme"] != "https" and not _is_loopback(host):
                detail, help = (
                    f'"{url}" is not HTTPS.',
                    f"Use HTTPS; a host other than PingOne's needs {_allow(host)}.",
                )
            elif not (_is_pingone(host) or _is_loopback(host) or allowed & {host, with_port}):
                detail = f'"{host}" is no host of PingOne.'
                help = f"Allow it from outside the project: {_allow(host)}."
            else:
                return False
        self.reading.problem(
            "project.refused-host",
            "Host refused",
            f"{detail} Credentials are never sent there.",
            help=help,
            address=address,
            subject=variable,
        )
        return True

    # Who asks

    def _credentials(self, document: EnvironmentDocument) -> Credentials | None:
        given = document.credentials
        here = ("credentials",)
        client = _REFERENCE.fullmatch(given.client_id)
        if client and ("SECRET" in client["name"].upper() or given.client_id == given.client_secret):
            self.reading.problem(
                "project.bad-reference",
                "Bad reference",
                "client_id names what looks like a secret; an identifier is shown in plans and reports.",
                help='Write client_id: "${env.PINGONE_CLIENT_ID}".',
                address=self._at(*here, "client_id"),
            )
            return None
        reference = _REFERENCE.fullmatch(given.client_secret)
        if not reference:
            self.reading.problem(
                "project.secret-in-file",
                "Secret in a file",
                "client_secret must name an environment variable; a secret does not belong into a file.",
                help='Write client_secret: "${env.PINGONE_CLIENT_SECRET}", and change the secret that stood here.',
                address=self._at(*here, "client_secret"),
            )
            return None
        environment_id = self._uuid(given.environment_id, self._at(*here, "environment_id"))
        client_id, _ = self._value(given.client_id, self._at(*here, "client_id"))
        secret = self._secret(reference["name"])
        if environment_id is None or client_id is None or secret is None:
            return None
        return Credentials(
            environment_id=environment_id,
            client_id=client_id,
            client_secret=secret,
            auth_method=given.auth_method,
        )

    def _secret(self, name: str) -> Secret | SecretSource | None:
        """
        Return the secret in a variable of the process, or in what a variable `…_FILE` or `…_COMMAND` names.

        Only variables of the auditor's own name files and commands: a project must not be able to choose what
        is run from what else is in the environment, such as `GIT_SSH_COMMAND`. Nothing is read or run yet.
        """
        environ = self.request.environ
        own = f"AUDITOR_{name}" if name.startswith("PINGONE_") else name
        ways: tuple[tuple[Literal["file", "command"], str], ...] = (
            ("file", f"{own}_FILE"),
            ("command", f"{own}_COMMAND"),
        )
        if own.startswith("AUDITOR_") and not environ.get(own):
            for way, variable in ways:
                if value := environ.get(variable):
                    return SecretSource(variable=variable, way=way, value=value)
        _, text = self._variable(name)
        if text is None:
            self.missing.append(name)
        return None if text is None else Secret(text)

    # References

    def _uuid(self, text: str, address: Address | None, *, needed: bool = True) -> str | None:
        """
        Return an identifier if it has the form of PingOne's.

        It becomes part of URLs, plans and reports; a reference to some other variable of the process must not
        get there, so the text itself is not shown.
        """
        value, variable = self._value(text, address, needed=needed)
        if value is None or _UUID.fullmatch(value):
            return value
        self.reading.problem(
            "project.bad-identifier",
            "Bad identifier",
            f"{f'What {variable} holds' if variable else 'The identifier'} is no UUID.",
            help="Copy it from the environment's properties, such as abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6.",
            address=address,
            subject=variable,
        )
        return None

    def _value(self, text: str, address: Address | None, *, needed: bool = True) -> tuple[str | None, str]:
        """Return the value of a text that may be `${env.NAME}`, and the variable that it comes from."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            if "${" not in text:
                return text, ""
            self.reading.problem(
                "project.bad-reference",
                "Bad reference",
                f'"{text}" must be a plain value or exactly ${{env.NAME}}.',
                help="Nothing else can stand around a reference.",
                address=address,
            )
            return None, ""
        variable, value = self._variable(match["name"])
        if value is None and needed:
            self.missing.append(match["name"])
        return value, variable

    def _variable(self, name: str) -> tuple[str, str | None]:
        """
        Return a variable of the process with its value; `AUDITOR_PINGONE_X` wins over `PINGONE_X`.

        So a worker application that can only read may stand beside that of the PingOne Terraform provider.
        """
        environ = self.request.environ
        names: Sequence[str] = (f"AUDITOR_{name}", name) if name.startswith("PINGONE_") else (name,)
        return next(((n, environ[n]) for n in names if environ.get(n)), (name, None))


def _is_pingone(host: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in REGION_DOMAINS.values())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _allow(host: str) -> str:
    return f"--allow-host {host}, or AUDITOR_ALLOW_HOSTS={host}"
