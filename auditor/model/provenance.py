"""Where a run comes from: who ran it, with which policies, as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CIJob:
    """
    The job of a CI system that a run was part of.

    `system` is the product's name, `name` the job's, `run` tells this one from its others. `url` is its page,
    without credentials and query.
    """

    system: str
    name: str = ""
    run: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """
    What is known of where a run comes from; what is not known is absent.

    `commit` is that of the project's folder. `dirty` tells that a file which the run read is not as it is in
    that commit. `clients` holds the client id that each environment was asked with.
    """

    commit: str | None = None
    dirty: bool | None = None
    ci: CIJob | None = None
    clients: Mapping[str, str] = field(default_factory=dict)
