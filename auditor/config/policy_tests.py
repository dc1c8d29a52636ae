"""Tests of policies: `*.test.yaml` beside the policies that they are about, ready to be run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from auditor.config import packs, variables
from auditor.config.catalogue import catalogue, own_kinds
from auditor.config.files import (
    exists,
    is_folder,
    is_inside,
    is_policy,
    is_test,
    outside,
    shipped,
    test_files,
    tested,
)
from auditor.config.privacy import hushed
from auditor.config.project import located, project_file
from auditor.config.records import read_records
from auditor.config.request import PACK_PREFIX, PROJECT_FILE, Reading, Request
from auditor.config.variables import Given
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean, unknown_check
from auditor.model.drift import Documented
from auditor.model.instant import parse_instant
from auditor.model.policy import Check, PolicyFile, Query
from auditor.model.policy_test import PolicyTest, PolicyTestFile, TestCase, TestedPolicy, TestSuite
from auditor.model.project import LoadedPack, Project, ProjectFile
from auditor.model.resource import Catalogue, without
from auditor.model.source import Address
from auditor.model.value import JSON, Values

ENVIRONMENT: Final = "test"
"""The name of the environment that tests are about."""

_VARIABLE: Final = re.compile(r"\$\{var\.(\w+)\}")


def load_tests(
    request: Request, project: Project | None = None, *, reads_records: bool = True
) -> Checked[TestSuite]:
    """
    Read the tests that a request names: of a folder, a policy, a file of tests, or a shipped pack.

    Without names, those of the project's own policies, or of the folder where there is no project. A test knows
    nothing of a project but its resource kinds: variables have the values that the test gives them, or their
    defaults. Result: the tests that are sound, with every mistake of the others; None where what all of them
    rest on has mistakes. Records that are files are read only with *reads_records*. With a *project* that has been
    loaded, its policies are not read again, and shipped packs are taken to be tested.
    """
    reading = Reading(request.folder, request.texts)
    if not request.paths and not exists(request.folder / PROJECT_FILE):
        request = replace(request, paths=(".",))
    document, is_sound = project_file(request, reading)
    if not is_sound:
        return Checked(None, located(reading.problems, reading.texts))
    places = list(_places(document, request, reading))
    if project is None:
        own = own_kinds(document.resources if document else (), reading)
        named = tuple(dict.fromkeys(place.policies for place in places)) if request.paths else ()
        found = packs.read(document, replace(request, paths=named), reading)
        if own is None:
            return Checked(None, located(reading.problems, reading.texts))
        kinds, own_resources = catalogue(own), frozenset(own)
    else:
        places = [place for place in places if not place.policies.startswith(PACK_PREFIX)]
        found = packs.Packs(loaded=list(project.packs), broken=_unread(project, document))
        kinds, own_resources = project.catalogue, project.own_resources
    suite = _Suite(reading, found, kinds, reads_records=reads_records)
    for place in places:
        suite.add(place)
    made = TestSuite(
        cases=tuple(suite.cases),
        policies=tuple(suite.policies.values()),
        catalogue=kinds,
        own_resources=own_resources,
        accept_values=dict(document.accept_values) if document else {},
        sources=reading.texts,
    )
    is_public = not found.broken and not any(_has_sensitive(pack) for pack in found.loaded)
    told = located(reading.problems, reading.texts)
    files = {file for place in places for _, file in place.tests}
    return Checked(
        made,
        tuple(hushed(each, reading.texts, variable_files=files, all_public=is_public) for each in told),
    )


def _unread(project: Project, document: ProjectFile | None) -> set[str | None]:
    """Return the mark of a policy file that could not be read, if there may be one among what was read."""
    known = {file for pack in project.packs for file in pack.files}
    known |= set(document.resources) if document else set()
    return {None for file in project.sources if is_policy(Path(file).name) and file not in known}


def _has_sensitive(pack: LoadedPack) -> bool:
    return any(variable.sensitive for file in pack.files.values() for variable in file.variables.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """
    Where tests are looked for.

    `policies` names what has to be read for them; `tests` are their paths with the names that people see;
    `only` is the one policy that is meant, where not all of `policies` are.
    """

    policies: str
    tests: tuple[tuple[Path, str], ...]
    root: Path
    only: tuple[str, ...] = ()

    def covers(self, policy: str, folder: str) -> bool:
        """Tell whether a policy, by the name that people see, is one whose tests are looked for."""
        return policy in self.only if self.only else policy.startswith(folder)


def _places(document: ProjectFile | None, request: Request, reading: Reading) -> Iterator[_Place]:
    own = (
        (source if isinstance(source, str) else source.pack for source in document.policies)
        if document
        else ()
    )
    for name in request.paths or own:
        plain = name.removeprefix(PACK_PREFIX)
        path = request.folder / name
        folder = shipped("policies", plain)
        if name != plain:
            if is_folder(folder):
                found = test_files(folder, name, folder).value or ()
                shown = ((each, f"{name}/{each.relative_to(folder).as_posix()}") for each in found)
                yield _Place(policies=name, tests=tuple(shown), root=folder)
            else:
                yield _Place(policies=name, tests=(), root=folder)
            continue
        if not request.paths and not exists(path) and is_folder(folder):
            continue  # a shipped pack: it has been tested
        if not request.paths and not is_inside(path, request.folder):
            continue  # it has been refused
        root = request.folder if is_inside(path, request.folder) else path.parent
        checked = test_files(path, name, root if path.is_dir() else path.parent)
        reading.problems += checked.diagnostics if is_test(path.name) else ()
        tests = tuple((each, reading.shown(each)) for each in checked.value or ())
        if is_folder(path) or not exists(path):
            is_lost = is_test(path.name)
            yield _Place(policies=str(Path(name).parent) if is_lost else name, tests=tests, root=root)
        else:
            policies = tested(path.name) if is_test(path.name) else (path.name,)
            only = tuple(reading.shown(path.with_name(policy)) for policy in policies)
            yield _Place(policies=str(Path(name).parent), tests=tests, root=root, only=only)


class _Suite:
    """Tests on their way from files to cases."""

    def __init__(
        self, reading: Reading, found: packs.Packs, kinds: Catalogue, *, reads_records: bool
    ) -> None:
        self.reading = reading
        self.catalogue = kinds
        self.cases: list[TestCase] = []
        self.policies: dict[str, TestedPolicy] = {}
        self._packs = {file: pack for pack in found.loaded for file in pack.files}
        self._has_broken = bool(found.broken)
        self._reads_records = reads_records
        self._read: dict[tuple[str, Path], tuple[JSON, ...] | None] = {}
        self._seen: set[str] = set()
        self._documented: dict[str, Documented] = {}

    def add(self, place: _Place) -> None:
        """Take the tests of a place, and the policies there."""
        folder = _folder_shown(place, self.reading)
        for policy, pack in self._packs.items():
            if place.covers(policy, folder) and policy not in self.policies:
                checks = tuple(pack.files[policy].checks)
                self.policies[policy] = TestedPolicy(policy=policy, checks=checks, equivalent={})
        for path, file in place.tests:
            if file not in self._seen:
                self._seen.add(file)
                self._add_file(path, file, place.root)

    def _add_file(self, path: Path, file: str, root: Path) -> None:
        document = self.reading.document(PolicyTestFile, path, file, trusted=True)
        if document is None:
            return
        beside = [str(Path(file).with_name(name)) for name in tested(Path(file).name)]
        policy = next((name for name in beside if name in self._packs), None)
        if policy is None:
            if not self._has_broken:
                self._report(
                    "test.no-policy",
                    "No policy to test",
                    f'There is no policy file "{beside[0]}" beside these tests.',
                    did_you_mean(Path(beside[0]).name, [Path(name).name for name in self._packs])
                    or "Tests of NAME.yaml stand in NAME.test.yaml.",
                    Address(file=file),
                )
            return
        pack = self._packs[policy]
        checks = tuple(pack.files[policy].checks)
        self.policies[policy] = TestedPolicy(
            policy=policy, checks=checks, file=file, equivalent=document.equivalent
        )
        self._check_declared(document.variables, pack, Address(file=file).at("variables"))
        for name, test in document.tests.items():
            case = self._case(name, test, document, policy, path, file, root)
            if case is not None:
                self.cases.append(case)

    def _case(
        self,
        name: str,
        test: PolicyTest,
        document: PolicyTestFile,
        policy: str,
        path: Path,
        file: str,
        root: Path,
    ) -> TestCase | None:
        before = len(self.reading.problems)
        pack, here = self._packs[policy], Address(file=file).at("tests", name)
        policy_file = pack.files[policy]
        check_id = self._check_id(test, policy_file, here)
        records = {
            kind: self._records(kind, given, path, root, here.at("records", kind))
            for kind, given in test.records.items()
        }
        if not _expects_error(test):
            for kind, given in test.records.items():
                self._check_documented(kind, given, here.at("records", kind))
        run = self._inside(test.run, path, root, here.at("run")) if test.run is not None else None
        self._check_declared(test.variables, pack, here.at("variables"))
        values: Values = {}
        if check_id is not None:
            used = _used(policy_file.checks[check_id], policy_file)
            values = self._values(pack, used, document, test, here)
        if check_id is None or len(self.reading.problems) > before:
            return None
        as_of = test.as_of or document.as_of
        only = policy_file.model_copy(update={"checks": {check_id: policy_file.checks[check_id]}})
        return TestCase(
            file=file,
            name=name,
            policy=policy,
            check=check_id,
            pack=LoadedPack(id=pack.id, title=pack.title, files={policy: only}),
            values=values,
            as_of=parse_instant(as_of) if as_of else None,
            records={kind: given for kind, given in records.items() if given is not None},
            run=None if run is None else str(run.resolve()),
            expected=test.expect,
            address=here,
        )

    def _check_id(self, test: PolicyTest, policy: PolicyFile, here: Address) -> str | None:
        if test.check is None:
            if len(policy.checks) == 1:
                return next(iter(policy.checks))
            self._report(
                "schema.missing-key",
                "Missing key",
                f"The policy has {len(policy.checks)} checks, and the test does not say which it is about.",
                f"Add check: {' | '.join(policy.checks)}",
                here.key(),
            )
            return None
        if test.check not in policy.checks:
            unknown = unknown_check(test.check, policy.checks, "the policy")
            self.reading.problems.append(unknown.with_(address=here.at("check"), subject=""))
            return None
        return test.check

    # Variables

    def _check_declared(self, given: Mapping[str, JSON], pack: LoadedPack, here: Address) -> None:
        declared = {name for policy in pack.files.values() for name in policy.variables}
        told = [
            Given(name=name, value=value, origin=here.file, address=here.at(name))
            for name, value in given.items()
        ]
        if not self._has_broken:
            self.reading.problems += variables.undeclared(told, {pack.id: declared})

    def _values(
        self, pack: LoadedPack, used: Iterable[str], document: PolicyTestFile, test: PolicyTest, here: Address
    ) -> Values:
        """Return the values of the variables that a check uses: the test's, the file's, or their defaults."""
        declared = {
            name: (policy.variables[name], Address(file=file).at("variables", name))
            for file, policy in pack.files.items()
            for name in used
            if name in policy.variables
        }
        of_file = Address(file=here.file).at("variables")
        given = [
            Given(name=name, value=value, origin=here.file, address=at.at(name))
            for values, at in ((document.variables, of_file), (test.variables, here.at("variables")))
            for name, value in values.items()
        ]
        values, problems = variables.resolve(pack.id, declared, given, ENVIRONMENT)
        self.reading.problems += (_for_a_test(problem, here) for problem in problems)
        return values

    # Records

    def _records(
        self, kind: str, given: str | tuple[JSON, ...], path: Path, root: Path, here: Address
    ) -> tuple[JSON, ...] | None:
        if kind not in self.catalogue:
            self._report(
                "records.unknown-kind",
                "Unknown resource kind",
                f'There is no resource kind "{kind}".',
                did_you_mean(kind, self.catalogue),
                here.key(),
            )
            return None
        if not isinstance(given, str):
            return tuple(without(record, self.catalogue[kind].secret) for record in given)
        source = self._inside(given, path, root, here)
        if source is None:
            return None
        if not self._reads_records and exists(source):
            return None
        key = (kind, source)
        if key not in self._read:
            read = read_records([f"{kind}={source}"], self.catalogue)
            self.reading.problems += (problem.with_(address=here, subject="") for problem in read.diagnostics)
            self._read[key] = read.value[kind] if read.value else None
        return self._read[key]

    def _check_documented(self, kind: str, given: str | tuple[JSON, ...], here: Address) -> None:
        """Report records that stand in the test and could be no answer, so that nothing would be judged by them."""
        if isinstance(given, str) or kind not in self.catalogue:
            return
        if kind not in self._documented:
            self._documented[kind] = Documented(self.catalogue[kind].item)
        for position, record in enumerate(given):
            if flaw := self._documented[kind].flaw(without(record, self.catalogue[kind].secret)):
                self._report(
                    "test.undocumented-record",
                    "Record not as documented",
                    f"A record of {kind} is not as documented at {flaw}.",
                    f"See auditor schema {kind}; a test of just that expects an error.",
                    here.at(position),
                )

    def _inside(self, name: str, path: Path, root: Path, here: Address) -> Path | None:
        """Return what a name beside a file of tests leads to; None where that is not inside the project."""
        found = path.parent / name
        if is_inside(found, root):
            return found
        self.reading.problems.append(outside(name).with_(address=here, subject=""))
        return None

    def _report(self, code: str, summary: str, detail: str, help: str, address: Address) -> None:
        self.reading.problem(code, summary, detail, help=help, address=address)


def _folder_shown(place: _Place, reading: Reading) -> str:
    """Return how the names of a place's policies begin."""
    if place.policies.startswith(PACK_PREFIX):
        return f"{place.policies}/"
    shown = reading.shown(reading.folder / place.policies)
    return "" if shown == "." else f"{shown}/"


def _expects_error(test: PolicyTest) -> bool:
    return test.expect.verdict == "error" or (test.expect.code or "").startswith("evidence.")


def _for_a_test(problem: Diagnostic, here: Address) -> Diagnostic:
    """Return a problem of variables with what to do in a test."""
    if problem.code != "variable.not-given" or problem.address is None:
        return problem
    name = problem.address.route[-1]
    return problem.with_(address=here.key(), help=f"Give it under variables: {{{name}: …}}.")


def _used(check: Check, policy: PolicyFile) -> tuple[str, ...]:
    """Return the names of the variables that a check is written with, also by way of locals and shared queries."""
    texts = [repr(check)]
    shared = [check.query] if isinstance(check.query, str) else []
    shared += [query for query in (check.queries or {}).values() if isinstance(query, str)]
    for name in shared:
        with suppress(KeyError):  # a query that is not there is told when the check is compiled
            query: Query = policy.queries[name]
            texts.append(repr(query))
    if any("${local." in text for text in texts):
        texts += policy.locals.values()
    return tuple(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))
