"""Tests of policies: records, and what a check says of them (`schemas/test.schema.json` is exported from here)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from auditor.model.document import Document, Many
from auditor.model.instant import parse_instant
from auditor.model.policy import Identifier, Name
from auditor.model.project import LoadedPack
from auditor.model.resource import Catalogue
from auditor.model.source import Address
from auditor.model.value import JSON, Values

VerdictWord = Literal["pass", "fail", "error", "skip"]


def _instant(text: str) -> str:
    parse_instant(text)
    return text


InstantText = Annotated[str, AfterValidator(_instant)]
"""ISO 8601; a date is its midnight in UTC."""


class Expected(Document):
    """What a check says of the given records: one key at least."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    verdict: VerdictWord | None = None
    code: str | None = None
    """Why, in one word: see docs/diagnostics.md."""
    population: Annotated[int, Field(ge=0)] | None = None
    """How many records were examined. A pass of none has to say so: `population: 0`."""
    violations: Many[str] | None = None
    """The violating records by identity, in order; what an expression made of records by its `key`."""
    message: str | None = None
    """The message of the first violation."""

    @model_validator(mode="after")
    def _asserts(self) -> Self:
        if not any(value is not None for value in self.asserted.values()):
            raise ValueError("a test that asserts nothing proves nothing; give a verdict")
        return self

    @property
    def asserted(self) -> dict[str, Any]:
        """Every key with its value; None where nothing is asserted."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def _long_form(value: object) -> object:
    return {"verdict": value} if isinstance(value, str) else value


class PolicyTest(Document):
    """One test: records in, verdict out."""

    check: Identifier | None = None
    """The check that it is about; may be left out where the policy file has one only."""
    as_of: InstantText | None = None
    """The instant of the audit, instead of the file's; else just after the newest record."""
    variables: dict[Name, Any] = {}
    """Values of variables, beside those of the file; the rest have their defaults."""
    records: dict[str, str | Many[dict[str, Any]]] = {}
    """Records by resource kind: a list, or a file beside this one (a page, a JSON array, or an object a line)."""
    run: str | None = None
    """The folder of a run beside this file: what it received, as of its own instant, for kinds without `records`."""
    expect: Annotated[Expected, BeforeValidator(_long_form, json_schema_input_type=VerdictWord | Expected)]


class PolicyTestFile(Document):
    """Tests of the policy file of the same name beside it: `NAME.test.yaml` of `NAME.yaml`."""

    version: Literal[1]
    as_of: InstantText | None = None
    """The instant of the audit, for every test that has none of its own."""
    variables: dict[Name, Any] = {}
    """Values of variables for every test."""
    tests: Annotated[dict[str, PolicyTest], Field(min_length=1)]
    """Tests by what they say: `an approved client deletes`."""
    equivalent: dict[str, str] = {}
    """Mutants that no test can notice, as `auditor test --mutate` names them, each with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """
    One test that is ready to be run, with all that it needs of the project.

    `pack` is cut down to the one check, and `values` are those of the variables that it uses. `run` is the path of
    a run's folder, whose records stand in for kinds that `records` does not have. Without `as_of` it is judged as of
    the run, or of just after the newest record.
    """

    __test__ = False  # pytest takes every class that is called Test… for its own

    file: str
    name: str
    policy: str
    check: str
    pack: LoadedPack
    values: Values
    as_of: datetime | None
    records: Mapping[str, tuple[JSON, ...]]
    run: str | None
    expected: Expected
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedPolicy:
    """
    A policy file with its checks by id, whether or not they have tests.

    `file` is that of the tests, empty where there is none; `equivalent` says of which mutants, by name, they
    claim that no test can notice them.
    """

    __test__ = False

    policy: str
    checks: tuple[str, ...]
    file: str = ""
    equivalent: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSuite:
    """All tests that were asked for, in the order of file and line, and the policies that they are about."""

    __test__ = False

    cases: tuple[TestCase, ...]
    policies: tuple[TestedPolicy, ...]
    catalogue: Catalogue
    own_resources: frozenset[str]
    accept_values: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, str]
