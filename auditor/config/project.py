"""The project file, the policies that it names, and the environments that it audits."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from auditor.config import documents, variables, yaml
from auditor.config.catalogue import own_kinds, shipped, shipped_kinds
from auditor.config.files import policy_files, read_text
from auditor.config.variables import Given
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.environment import (
    REGION_DOMAINS,
    AuthMethod,
    Credentials,
    Environment,
    region_urls,
)
from auditor.model.policy import PolicyFile, Severity, Variable
from auditor.model.project import (
    CredentialsDocument,
    EnvironmentDocument,
    LoadedPack,
    PolicySource,
    Project,
    ProjectFile,
)
from auditor.model.secret import Secret
from auditor.model.source import Address
from auditor.model.value import Values

PROJECT_FILE: Final = "auditor.yaml"
PACK_PREFIX: Final = "pack:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What the command line asks to be loaded.

    `folder` is where the project is looked for; `paths` replace the project's policies; `variables` are the
    options `--var` and `--var-file` in their order; `environ` are the process's environment variables;
    `environments` selects by name, all if empty; `allow_hosts` are hosts beside PingOne's and loopback.
    """

    folder: Path
    paths: Sequence[str] = ()
    variables: Sequence[tuple[str, str]] = ()
    environ: Mapping[str, str]
    environments: Sequence[str] = ()
    choose: bool = True
    """Whether one of several environments must be named: nothing chooses a tenant implicitly."""
    allow_hosts: Sequence[str] = ()


def load(request: Request) -> Checked[Project]:
    """
    Read everything that people wrote: project, resource kinds, policies, variables.

    Every mistake of every file is found in one call, in the order of file and line. The project is None
    where there is any error. Nothing is asked of a tenant, and nothing outside the named files is read.
    """
    return _Loader(request).load()


class _Loader:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.root = request.folder
        self.sources: dict[str, str] = {}
        self.diagnostics: list[Diagnostic] = []

    def load(self) -> Checked[Project]:
        document = self._project_file()
        if document is None and self.diagnostics:
            return Checked(None, self._sorted())
        kinds = own_kinds([(self.root / path, path) for path in (document.resources if document else ())])
        self.diagnostics += kinds.diagnostics
        packs, given = self._packs(document)
        environments = self._environments(document)
        given += self._given(document)
        values = self._values(packs, environments, given)
        project = Project(
            packs=tuple(packs),
            environments=environments,
            catalogue={**shipped_kinds(), **(kinds.value or {})},
            own_resources=frozenset(kinds.value or {}),
            accept_values=dict(document.accept_values) if document else {},
            values=values,
            sources=self.sources,
        )
        diagnostics = self._sorted()
        failed = any(diagnostic.level == "error" for diagnostic in diagnostics)
        return Checked(None if failed else project, diagnostics)

    # Files

    def _read(self, path: Path, file: str) -> str | None:
        checked = read_text(path, file)
        self.diagnostics += checked.diagnostics
        if checked.value is not None:
            self.sources[file] = checked.value
        return checked.value

    def _project_file(self) -> ProjectFile | None:
        path = self.root / PROJECT_FILE
        if not path.exists() and not path.is_symlink():
            if not self.root.is_dir():
                self._problem("file.not-found", str(self.root), "There is no such folder.", subject="--chdir")
            elif not self.request.paths:
                self._problem(
                    "project.not-found",
                    "No project",
                    f'The folder "{self.root}" holds no {PROJECT_FILE}, and no policies are named.',
                    help="Name policy files or folders, go to a project with --chdir, or run: auditor init",
                )
            return None
        text = self._read(path, PROJECT_FILE)
        if text is None:
            return None
        checked = documents.read(ProjectFile, text, PROJECT_FILE)
        self.diagnostics += checked.diagnostics
        return checked.value

    # Policies

    def _packs(self, document: ProjectFile | None) -> tuple[list[LoadedPack], list[Given]]:
        entries = self._entries(document)
        files: dict[str, tuple[PolicyFile, PolicySource]] = {}
        given: list[Given] = []
        for source, address in entries:
            for path, file in self._policy_paths(source.pack, address):
                text = self._read(path, file) if file not in self.sources else None
                if text is None:
                    continue
                checked = documents.read(PolicyFile, text, file)
                self.diagnostics += checked.diagnostics
                if checked.value is not None:
                    files[file] = (checked.value, source)
        packs = self._merge(files)
        for source, address in entries:
            own = {pack.id for pack in packs if any(files[file][1] is source for file in pack.files)}
            for pack in own:
                where = address.at("variables") if address else None
                given += [
                    Given(
                        name=name,
                        value=value,
                        origin=PROJECT_FILE,
                        pack=pack,
                        address=where.at(name) if where else None,
                    )
                    for name, value in source.variables.items()
                ]
            self._check_names(source, address, [pack for pack in packs if pack.id in own])
        return packs, given

    def _entries(self, document: ProjectFile | None) -> list[tuple[PolicySource, Address | None]]:
        if self.request.paths:
            return [(PolicySource(pack=path), None) for path in self.request.paths]
        if document is None:
            return []
        base = Address(file=PROJECT_FILE).at("policies")
        return [
            (PolicySource(pack=entry) if isinstance(entry, str) else entry, base.at(position))
            for position, entry in enumerate(document.policies)
        ]

    def _policy_paths(self, name: str, address: Address | None) -> list[tuple[Path, str]]:
        """Return the policy files behind a name with the name that people see of each."""
        shipped_pack = shipped("policies", name.removeprefix(PACK_PREFIX))
        path = self.root / name if address else Path(name)
        if name.startswith(PACK_PREFIX) or (address and not path.exists() and "/" not in name):
            if shipped_pack.is_dir():
                folder = policy_files(shipped_pack, name, shipped_pack)
                prefix = PACK_PREFIX + name.removeprefix(PACK_PREFIX)
                return [(p, f"{prefix}/{p.relative_to(shipped_pack).as_posix()}") for p in folder.value or ()]
            packs = [entry.name for entry in shipped("policies").iterdir() if entry.is_dir()]
            self._problem(
                "project.unknown-pack",
                "Unknown pack",
                f'There is no shipped pack "{name.removeprefix(PACK_PREFIX)}", nor a file or folder of that name.',
                help=did_you_mean(name.removeprefix(PACK_PREFIX), packs),
                address=address,
            )
            return []
        if address and not path.resolve().is_relative_to(self.root.resolve()):
            self._problem(
                "file.outside-project",
                "File outside the project",
                f'"{name}" leads out of the project\'s folder.',
                help="Move the policies into the project, or name them on the command line.",
                address=address,
            )
            return []
        checked = policy_files(path, name, self.root if address else path)
        self.diagnostics += [
            problem.with_(address=problem.address or address, subject=problem.subject)
            for problem in checked.diagnostics
        ]
        return [(found, self._shown(found)) for found in checked.value or ()]

    def _shown(self, path: Path) -> str:
        """Return the name that people see of a file: from the project's folder where it lies in it."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def _merge(self, files: Mapping[str, tuple[PolicyFile, PolicySource]]) -> list[LoadedPack]:
        def pack_of(file: str) -> str:
            return files[file][0].pack.id

        packs = []
        for pack_id, names in groupby(sorted(files, key=lambda file: (pack_of(file), file)), key=pack_of):
            members = {file: files[file][0] for file in names}
            sources = {id(files[file][1]): files[file][1] for file in members}.values()
            excluded: dict[str, str] = {}
            severities: dict[str, Severity] = {}
            for source in sources:
                excluded.update(source.exclude)
                severities.update(source.severity)
            self._check_twice(members)
            packs.append(
                LoadedPack(
                    id=pack_id,
                    title=next((m.pack.title for m in members.values() if m.pack.title), pack_id),
                    files=members,
                    excluded=excluded,
                    severities=severities,
                )
            )
        return packs

    def _check_twice(self, members: Mapping[str, PolicyFile]) -> None:
        """Report checks and variables that two files of a pack define."""
        seen: dict[tuple[str, str], str] = {}
        for file, document in members.items():
            for section in ("checks", "variables"):
                for name in getattr(document, section):
                    first = seen.setdefault((section, name), file)
                    if first != file:
                        self._problem(
                            "policy.defined-twice",
                            "Defined twice",
                            f'The pack "{document.pack.id}" defines "{name}" in {first} too.',
                            help="Rename or remove one of the two.",
                            address=Address(file=file).at(section, name).key(),
                        )

    def _check_names(
        self, source: PolicySource, address: Address | None, packs: Sequence[LoadedPack]
    ) -> None:
        checks = {check for pack in packs for document in pack.files.values() for check in document.checks}
        for section in ("exclude", "severity"):
            for name in getattr(source, section):
                if name not in checks and packs:
                    self._problem(
                        "project.unknown-check",
                        "Unknown check",
                        f'The pack has no check "{name}".',
                        help=did_you_mean(name, checks),
                        address=address.at(section, name).key() if address else None,
                    )

    # Variables

    def _given(self, document: ProjectFile | None) -> list[Given]:
        given: list[Given] = []
        for name, environment in (document.environments if document else {}).items():
            base = Address(file=PROJECT_FILE).at("environments", name, "variables")
            given += [
                item_at
                for key, value in environment.variables.items()
                for item_at in variables.from_mapping(
                    {key: value}, PROJECT_FILE, environment=name, address=base.at(key)
                )
            ]
        given += variables.from_environ(self.request.environ)
        files = [self.root / "auditor.vars.yaml", *sorted(self.root.glob("*.auto.vars.yaml"))]
        for path in files:
            if path.exists():
                given += self._variables_file(path, self._shown(path))
        for option, text in self.request.variables:
            if option == "--var-file":
                given += self._variables_file(Path(text), text)
                continue
            item = variables.from_option(text)
            if isinstance(item, Diagnostic):
                self.diagnostics.append(item)
            else:
                given.append(item)
        return given

    def _variables_file(self, path: Path, file: str) -> list[Given]:
        text = self._read(path, file)
        if text is None:
            return []
        loaded = yaml.load(text, file)
        self.diagnostics += loaded.diagnostics
        if loaded.value is None:
            return []
        if not isinstance(loaded.value, dict):
            self._problem(
                "schema.wrong-type",
                "Wrong type",
                "A file of variables is a mapping from names to values.",
                help='Write "name: value" on each line.',
                address=Address(file=file),
            )
            return []
        return [
            item
            for key, value in loaded.value.items()
            for item in variables.from_mapping({key: value}, file, address=Address(file=file).at(key))
        ]

    def _values(
        self, packs: Sequence[LoadedPack], environments: Sequence[Environment], given: Sequence[Given]
    ) -> dict[tuple[str, str], Values]:
        declared: dict[str, dict[str, tuple[Variable, Address]]] = {
            pack.id: {
                name: (variable, Address(file=file).at("variables", name))
                for file, document in pack.files.items()
                for name, variable in document.variables.items()
            }
            for pack in packs
        }
        if not any(diagnostic.level == "error" for diagnostic in self.diagnostics):
            # With a policy file that can not be read, what it declares is unknown.
            self.diagnostics += variables.undeclared(given, declared)
        result: dict[tuple[str, str], Values] = {}
        for environment in environments:
            for pack in packs:
                values, problems = variables.resolve(pack.id, declared[pack.id], given, environment.name)
                result[environment.name, pack.id] = values
                self.diagnostics += [p for p in problems if p not in self.diagnostics]
        return result

    # Environments

    def _environments(self, document: ProjectFile | None) -> tuple[Environment, ...]:
        declared = document.environments if document else {}
        if not declared:
            default = EnvironmentDocument(id="${env.PINGONE_ENVIRONMENT_ID}")
            return (self._environment("default", default, document, None),)
        unknown = [name for name in self.request.environments if name not in declared]
        for name in unknown:
            self._problem(
                "project.unknown-environment",
                "Unknown environment",
                f'The project has no environment "{name}".',
                help=did_you_mean(name, declared),
                subject="--environment",
            )
        if unknown:
            return ()
        selected = self.request.environments or tuple(declared)
        if self.request.choose and not self.request.environments and len(declared) > 1:
            self._problem(
                "project.choose-environment",
                "Environment not chosen",
                f"The project has {len(declared)} environments, and none is named.",
                help=f"Name one or more with --environment: {', '.join(declared)}.",
                subject="--environment",
            )
            return ()
        return tuple(
            self._environment(
                name, declared[name], document, Address(file=PROJECT_FILE).at("environments", name)
            )
            for name in dict.fromkeys(selected)
        )

    def _environment(
        self,
        name: str,
        document: EnvironmentDocument,
        project: ProjectFile | None,
        address: Address | None,
    ) -> Environment:
        missing: list[str] = []

        def reference(text: str | None, *steps: str) -> str | None:
            value, needed = self._reference(text, address.at(*steps) if address else None)
            if needed:
                missing.append(needed)
            return value

        environment_id = self._uuid(reference(document.id, "id"), address.at("id") if address else None)
        region = document.region or self.request.environ.get("PINGONE_REGION_CODE")
        api_url = document.api_url or (None if document.region else self._environ("PINGONE_API_URL"))
        auth_url = document.auth_url or (None if document.region else self._environ("PINGONE_AUTH_URL"))
        if api_url is None and auth_url is None and region:
            try:
                api_url, auth_url = region_urls(region)
            except KeyError:
                self._problem(
                    "project.unknown-region",
                    "Unknown region",
                    f'"{region}" is no region of PingOne.',
                    help=f"Use one of {', '.join(REGION_DOMAINS)}.",
                    address=address.at("region") if address and document.region else None,
                    subject="" if address and document.region else "PINGONE_REGION_CODE",
                )
        for step, url in (("api_url", api_url), ("auth_url", auth_url)):
            if url is None:
                missing.append("a region (PINGONE_REGION_CODE), or both PINGONE_API_URL and PINGONE_AUTH_URL")
            else:
                given_here = address if address and getattr(document, step) else None
                self._check_url(url, step, given_here.at(step) if given_here else None)
        credentials = self._credentials(document.credentials, reference)
        organization = Address(file=PROJECT_FILE).at("organization_id")
        organization_id, _ = self._reference(project.organization_id if project else None, organization)
        organization_id = self._uuid(organization_id, organization)
        return Environment(
            name=name,
            id=environment_id,
            region=region.upper() if region and region.upper() in REGION_DOMAINS else None,
            api_url=api_url.rstrip("/") if api_url else None,
            auth_url=auth_url.rstrip("/") if auth_url else None,
            organization_id=organization_id,
            credentials=credentials,
            missing=tuple(dict.fromkeys(missing)),
        )

    def _credentials(
        self, document: CredentialsDocument, reference: Callable[..., str | None]
    ) -> Credentials | None:
        environment_id = reference(document.environment_id, "credentials", "environment_id")
        client_id = reference(document.client_id, "credentials", "client_id")
        if document.client_id == document.client_secret or "SECRET" in document.client_id.upper():
            self._problem(
                "project.bad-reference",
                "Bad reference",
                "client_id names what looks like a secret; an identifier is shown in plans and reports.",
                help='Write client_id: "${env.PINGONE_CLIENT_ID}".',
                subject=PROJECT_FILE,
            )
            return None
        if not _REFERENCE.fullmatch(document.client_secret):
            self._problem(
                "project.secret-in-file",
                "Secret in a file",
                "client_secret must name an environment variable; a secret does not belong into a file.",
                help='Write client_secret: "${env.PINGONE_CLIENT_SECRET}", and change the secret that stood here.',
                subject=PROJECT_FILE,
            )
            return None
        secret = reference(document.client_secret, "credentials", "client_secret")
        if environment_id is None or client_id is None or secret is None:
            return None
        method: AuthMethod = document.auth_method
        return Credentials(
            environment_id=environment_id,
            client_id=client_id,
            client_secret=Secret(secret),
            auth_method=method,
        )

    def _uuid(self, text: str | None, address: Address | None) -> str | None:
        """
        Return an identifier if it has the form of PingOne's.

        It becomes part of URLs, plans and reports; a reference to some other variable of the process must not
        get there, so the text itself is not shown.
        """
        if text is None or _UUID.fullmatch(text):
            return text
        self._problem(
            "project.bad-identifier",
            "Bad identifier",
            "The identifier is no UUID.",
            help="Copy it from the environment's properties, such as abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6.",
            address=address,
            subject="" if address else "PINGONE_ENVIRONMENT_ID",
        )
        return None

    def _environ(self, name: str) -> str | None:
        """Return an environment variable; `AUDITOR_PINGONE_X` wins over `PINGONE_X`."""
        environ = self.request.environ
        return environ.get(f"AUDITOR_{name}") or environ.get(name) or None

    def _reference(self, text: str | None, address: Address | None) -> tuple[str | None, str]:
        """Return the value of a text that may be `${env.NAME}`, and what is missing if there is none."""
        if text is None:
            return None, ""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            if "${" in text:
                self._problem(
                    "project.bad-reference",
                    "Bad reference",
                    f'"{text}" must be a plain value or exactly ${{env.NAME}}.',
                    help="Nothing else can stand around a reference.",
                    address=address,
                )
            return text, ""
        name = match["name"]
        value = self._environ(name)
        return value, "" if value else name

    def _check_url(self, url: str, step: str, address: Address | None) -> None:
        """Refuse a host that is neither PingOne's nor loopback nor allowed from outside the project."""
        parts = urlsplit(url)
        host = (parts.hostname or "").casefold()
        problem = ""
        if parts.scheme != "https" and not _is_loopback(host):
            problem = f'"{url}" is not HTTPS.'
        elif parts.username or parts.password:
            problem = "A URL can not hold a user or a password."
        elif not (_is_pingone(host) or _is_loopback(host) or host in self.request.allow_hosts):
            problem = f'"{host}" is no host of PingOne.'
        if problem:
            self._problem(
                "project.refused-host",
                "Host refused",
                problem + " Credentials are never sent there.",
                help=f"Allow it from outside the project: --allow-host {host}, or AUDITOR_ALLOW_HOSTS={host}.",
                address=address,
                subject="" if address else step,
            )

    # Diagnostics

    def _problem(
        self,
        code: str,
        summary: str,
        detail: str,
        *,
        help: str = "",
        address: Address | None = None,
        subject: str = "",
    ) -> None:
        self.diagnostics.append(
            Diagnostic(code=code, summary=summary, detail=detail, help=help, address=address, subject=subject)
        )

    def _sorted(self) -> tuple[Diagnostic, ...]:
        return located(self.diagnostics, self.sources)


def located(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """Return diagnostics with their locations, in the order of file and line."""
    found = [
        documents.at(d, sources[d.address.file]) if d.address and d.address.file in sources else d
        for d in diagnostics
    ]
    return tuple(sorted(dict.fromkeys(found), key=_place))


def _place(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    where = diagnostic.location
    if where is None:
        file = diagnostic.address.file if diagnostic.address else diagnostic.subject
        return (file, 0, 0, diagnostic.code)
    return (where.file, where.line, where.column, diagnostic.code)


_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_REFERENCE: Final = re.compile(r"\$\{env\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def _is_pingone(host: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in REGION_DOMAINS.values())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
