"""JUnit and CTRF as packages of npm read them, which nobody here wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import FormatChecker
from jsonschema.validators import validator_for

from auditor.model.verdict import Status
from auditor.reporter import JUNIT_FLAVORS, render
from tests.reports import SAMPLES

PACKAGES = ("ctrf@0.3.0", "junit2json@4.0.0")

READ = """
import { parse } from "junit2json";
import { readFileSync } from "node:fs";
const read = [];
for (const name of JSON.parse(process.argv[2])) read.push(await parse(readFileSync(name, "utf8")));
console.log(JSON.stringify(read));
"""

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="npm and node are not on this machine"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder of its own with the packages."""
    made: Path = tmp_path_factory.mktemp("npm")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix", str(made)]
    try:
        subprocess.run([*install, *PACKAGES], capture_output=True, check=True, timeout=120)
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm can not install {', '.join(PACKAGES)} here: {error}")
    return made


def test_junit2json_finds_every_case_of_every_flavour(folder):
    cases = [(sample, flavor) for sample in SAMPLES for flavor in JUNIT_FLAVORS]
    files = [folder / f"{sample}.{flavor}.xml" for sample, flavor in cases]
    for file, (sample, flavor) in zip(files, cases, strict=True):
        file.write_text(render(SAMPLES[sample], "junit", junit_flavor=flavor), encoding="utf-8")
    script = folder / "read.mjs"
    script.write_text(READ, encoding="utf-8")
    names = json.dumps([str(file) for file in files])
    shown = subprocess.run(["node", str(script), names], capture_output=True, check=True, timeout=60)  # noqa: S607
    for (sample, _), read in zip(cases, json.loads(shown.stdout), strict=True):
        of = SAMPLES[sample]
        waived = sum(verdict.is_waived for verdict in of.verdicts)
        suites = read["testsuite"]
        found = [case for suite in suites for case in suite.get("testcase", [])]
        kinds = Counter(kind for case in found for kind in ("failure", "error", "skipped") if kind in case)
        own = sum(len(suite["testcase"]) for suite in suites if suite["name"] == "auditor")
        assert len(found) == len(of.verdicts) + own == sum(suite["tests"] for suite in suites)
        assert kinds["failure"] == of.count(Status.FAIL) - waived
        assert kinds["error"] == of.count(Status.ERROR) + own
        assert kinds["skipped"] == of.count(Status.SKIP) + waived


def test_a_ctrf_report_is_valid_under_the_schema_of_ctrf(folder):
    schema = json.loads((folder / "node_modules/ctrf/dist/ctrf-schema-0.0.json").read_text("utf-8"))
    validator = validator_for(schema)(schema, format_checker=FormatChecker())
    for of in SAMPLES.values():
        document = json.loads(render(of, "ctrf"))
        validator.validate(document)
        summary = document["results"]["summary"]
        assert summary["tests"] == sum(summary[name] for name in ("passed", "failed", "skipped")) > 0
    document = json.loads(render(SAMPLES["failures"], "ctrf"))
    document["results"]["tests"][0]["status"] = "error"
    assert not validator.is_valid(document)
