"""The documents say what the program does: their commands are run and their output is compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from auditor import cli
from auditor.fetcher import failures  # noqa: F401  # its codes are read from the source below
from tests.support import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"```console\n(?P<block>.*?)```", re.DOTALL)


def sessions() -> list[tuple[str, str, str]]:
    """Commands of the documents with the output that they promise."""
    found = []
    for document in DOCUMENTS:
        for block in CONSOLE.finditer(document.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block["block"], flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append((document.name, command, output))
    return found


def matches(promised: str, given: str) -> bool:
    """Tell whether an output is as promised; a line `...` stands for any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"[ ]*\n" for line in promised.splitlines()
    )
    return re.fullmatch(pattern, given) is not None


@pytest.mark.parametrize(
    ("document", "command", "output"), sessions(), ids=lambda value: value.split("\n")[0][:60]
)
def test_a_command_of_a_document_does_what_the_document_says(
    document, command, output, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(ROOT / "examples" / "quickstart")
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    for name in (
        "PINGONE_ENVIRONMENT_ID",
        "PINGONE_CLIENT_ID",
        "PINGONE_CLIENT_SECRET",
        "COLUMNS",
        "NO_COLOR",
    ):
        monkeypatch.delenv(name, raising=False)
    cli.run(shlex.split(command)[1:])
    given = capsys.readouterr().out
    assert matches(output, given), f"{document}: $ {command}\n{given}"


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in cli.main.commands:
        assert re.search(rf"^  {command} ", readme, re.MULTILINE), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"`((?:auditor|schemas|docs|examples|policies|tests|benchmarks)/[\w./-]+)`", text)
    for name in named:
        assert (ROOT / name).exists(), name


def _source_codes() -> set[str]:
    code = re.compile(
        r'"((?:yaml|schema|fmt|file|project|plan|policy|variable|option|records|resource|report|scim|jmes|message|query|credentials|evidence|evaluation|internal|simulator|waiver|test|run|replay|roles|show)\.(?!json)[a-z-]+)"'
    )
    return {
        match
        for path in sorted((ROOT / "auditor").rglob("*.py"))
        for match in code.findall(path.read_text(encoding="utf-8"))
    }


def test_every_code_is_on_the_page_of_codes():
    page = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z-]+\.[a-z-]+)` \|", page, re.MULTILINE))
    assert documented == _source_codes()


def test_the_readme_shows_a_policy_that_ships():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shipped = Path(ROOT / "policies/pingone-activity/app-deletion-by-admin-clients.yaml").read_text(
        encoding="utf-8"
    )
    (shown,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    wanted = {re.sub(r"\s+#.*", "", line).strip() for line in shown.splitlines()}
    assert wanted <= {line.strip() for line in shipped.splitlines()}
