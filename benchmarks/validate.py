"""How long `auditor validate` of 1,000 policy files takes, beside loading them with ruamel.yaml's fast safe loader.

Goals: at most 2.5 times the loading; a second time, when it is remembered, at most 0.3 times.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import functions, process, table

POLICY = """\
# yaml-language-server: $schema=../schemas/policy.schema.json
version: 1
pack: {{id: pack-{pack}, title: Pack {pack}}}

checks:
  check-{number}:
    title: Applications of kind {number} are deleted only by admin clients
    description: >-
      Who deletes an application takes away the sign-on of everybody who uses it, and its secrets
      and grants with it. Only the clients that administrators work with should ever do so.
    severity: high
    controls:
      soc2: [CC6.1, CC8.1]
      iso27001: [A.8.32]
      nist800-53: [AC-6, CM-5]
    query:
      resource: activities
      window: hot
      where: action.type eq "{action}" and resources.name sw "app-{number}"
    expect:
      - every: contains(['adminui', 'client-{number}'], actors.client.id)
        on_missing: fail
        message: "{{actors.client.name}} deleted {{resources[0].name}} at {{recordedAt}}"
      - none: "[?length(resources) > `{number}`]"
        on_missing: pass
        severity: low
    remediation: Restore the application; remove the role of the client that did it.
    references:
      - PingOne API documentation, Read Audit Activities
"""

ACTIONS = (
    "APPLICATION.DELETED",
    "USER.CREATED",
    "GROUP.UPDATED",
    "SECRET.READ",
    "KEY.DELETED",
    "POLICY.UPDATED",
)

LOADING = "ruamel.yaml, fast safe loader"

LOAD = """
import sys
from pathlib import Path
from ruamel.yaml import YAML
yaml = YAML(typ="safe")
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    yaml.load(path.read_text(encoding="utf-8"))
"""


def write(folder: Path, number: int) -> None:
    """Write so many policy files into a folder, the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        text = POLICY.format(number=n, pack=n % 20, action=ACTIONS[n % len(ACTIONS)])
        (folder / f"policy-{n:04}.yaml").write_text(text, encoding="utf-8")


def run(*, full: bool) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name, "policies"), Path(name, "cache")
        write(folder, 1_000 if full else 200)
        validate = [sys.executable, "-m", "auditor", "validate", "--chdir", str(folder), "."]
        nowhere = {"HOME": "", "XDG_CACHE_HOME": ""}
        calls = {
            LOADING: process([sys.executable, "-c", LOAD, str(folder)]),
            "auditor validate": process(validate, **nowhere),
            "auditor validate, again": process(validate, XDG_CACHE_HOME=str(cache)),
        }
        print(table(functions(calls, rounds=9 if full else 5), LOADING))
