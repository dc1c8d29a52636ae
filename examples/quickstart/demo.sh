#!/bin/sh
# The main job on the built-in simulator: plan, check, JUnit XML. Ends with 0 if the auditor found exactly
# that the simulated tenant breaks its policies, which is exit code 2 of `auditor check`.
set -eu
cd "$(dirname "$0")"
out=.auditor/demo

# One instant for plan and check, so that the demo shows the same on every day.
as_of=2026-11-21T09:00:00Z
id=fb5e1379-7127-400b-ad44-dc0a9fae4886 # the simulated environment

echo "\$ auditor plan"
PINGONE_ENVIRONMENT_ID=$id auditor plan --as-of "$as_of"

echo
echo "\$ auditor check --simulate --report junit=$out/junit.xml"
code=0
auditor check --simulate --as-of "$as_of" --report "junit=$out/junit.xml" || code=$?

echo
echo "\$ head -20 $out/junit.xml"
head -20 "$out/junit.xml" | cut -c1-100

echo
if [ "$code" -eq 2 ]; then
    echo "demo: the audited tenant has violations, as it should have: auditor check ended with exit 2."
    echo "demo: the auditor works. The JUnit report is examples/quickstart/$out/junit.xml."
else
    echo "demo: auditor check ended with exit $code, and 2 was due: the simulated tenant has violations." >&2
    exit 1
fi
