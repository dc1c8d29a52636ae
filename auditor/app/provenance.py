"""Where a run comes from: the commit of its policies, the CI job, the client that asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from auditor.app.git import git
from auditor.model.environment import Environment
from auditor.model.provenance import CIJob, Provenance

_CI: Final = (
    # docs.github.com "Variables reference"
    ("GitHub Actions", "GITHUB_ACTIONS", "{GITHUB_WORKFLOW} / {GITHUB_JOB}", "{GITHUB_RUN_ID}",
     "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"),
    # docs.gitlab.com "Predefined CI/CD variables reference"
    ("GitLab CI", "GITLAB_CI", "{CI_PROJECT_PATH} / {CI_JOB_NAME}", "{CI_JOB_ID}", "{CI_JOB_URL}"),
    # learn.microsoft.com "Use predefined variables"
    ("Azure Pipelines", "TF_BUILD", "{BUILD_DEFINITIONNAME}", "{BUILD_BUILDNUMBER}",
     "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results"),
    # jenkins.io "Using environment variables"
    ("Jenkins", "JENKINS_URL", "{JOB_NAME}", "{BUILD_NUMBER}", "{BUILD_URL}"),
)  # fmt: skip
"""CI systems: name, the variable that tells it, and the templates of job, run and page."""


def provenance(
    folder: Path, environ: Mapping[str, str], sources: Iterable[str] = (), asked: Iterable[Environment] = ()
) -> Provenance:
    """
    Gather what can be known of where a run comes from. Nothing of it can fail.

    *sources* are the names of the files that the run read, from *folder*; those of shipped packs are of no commit.
    Without any, nothing is said of how they stand to the commit. *asked* are the environments that are asked.
    """
    own = [source for source in sources if not source.startswith("pack:")]
    commit = git(folder, environ, "rev-parse", "--verify", "HEAD")
    known = commit is not None and re.fullmatch(r"[0-9a-f]{40,64}", commit.strip())
    return Provenance(
        commit=commit.strip() if commit and known else None,
        dirty=_is_dirty(folder, environ, own) if known and own else None,
        ci=_ci_job(environ),
        clients={
            environment.name: environment.credentials.client_id
            for environment in asked
            if environment.credentials is not None
        },
    )


def _is_dirty(folder: Path, environ: Mapping[str, str], own: Iterable[str]) -> bool | None:
    """Tell whether a file of the project is not as it is in the commit; None where git does not say."""
    top = git(folder, environ, "rev-parse", "--show-toplevel")
    committed = git(folder, environ, "ls-tree", "-r", "--full-tree", "--name-only", "-z", "HEAD")
    changed = git(folder, environ, "diff", "--no-ext-diff", "--name-only", "--no-renames", "-z", "HEAD")
    if top is None or committed is None or changed is None:
        return None
    root = Path(top.removesuffix("\n")).resolve()
    as_committed = {root / name for name in set(committed.split("\0")) - set(changed.split("\0"))}
    return any((folder / source).resolve() not in as_committed for source in own)


def _ci_job(environ: Mapping[str, str]) -> CIJob | None:
    for system, mark, name, run, url in _CI:
        if environ.get(mark):
            return CIJob(
                system=system,
                name=_filled(name, environ).strip(" /"),
                run=_filled(run, environ),
                url=_page(_filled(url, environ)),
            )
    return None


def _filled(template: str, environ: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: environ.get(match[1], ""), template)


def _page(url: str) -> str:
    """Return the address of a page without what could be a secret in it; empty where it is no such address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))
