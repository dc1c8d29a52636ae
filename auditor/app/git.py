"""git, as it only reads."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TIMEOUT_S: Final = 5.0
"""What git may take of a run; a repository that is slower stays unknown."""

_GIT: Final = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
"""git as it only reads: nothing that a repository's own configuration names is run."""


def git(folder: Path, environ: Mapping[str, str], *words: str) -> str | None:
    """Return what git says in a folder; None where there is no git, no repository or no answer in time."""
    # Of the environment only what finds git and the user's own trust in the folder.
    kept = {name: environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in environ}
    try:
        answer = subprocess.run(  # noqa: S603  # words of our own, no shell
            (*_GIT, "-C", str(folder), *words),
            capture_output=True,
            env={**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode("utf-8", "surrogateescape") if answer.returncode == 0 else None
