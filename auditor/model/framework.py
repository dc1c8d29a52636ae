"""Frameworks of compliance: criteria that verdicts are shown by (`schemas/frameworks/*.yaml`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from auditor.model.document import Document
from auditor.model.policy import Identifier


class Framework(Document):
    """
    A framework, or the part of it that the audit of an identity provider can speak to.

    Checks name its criteria in `controls`. The titles are short ones of our own: the texts of standards are theirs.
    """

    version: Literal[1]
    framework: Identifier
    """Its name in `controls` of checks and behind `--framework`."""
    title: str
    scope: str = ""
    """Which criteria are listed, which are not, and whose reading the mapping is."""
    period_days: Annotated[int, Field(ge=1, le=3_660)] = 365
    """The period that an auditor asks about, which ends at the instant of the run."""
    criteria: Annotated[dict[Annotated[str, Field(min_length=1, max_length=64)], str], Field(min_length=1)]
    """Titles by criterion, in the order of the framework."""
