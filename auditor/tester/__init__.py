"""
Tests of policies: whether a verdict is as expected, what the tests of a check show of it, and what they would notice.

Nothing here runs anything: `auditor.app` drives the same stages as a run, and asks here what that means.
"""

from __future__ import annotations

from auditor.tester.comparing import differences, kinds_of, possible_kinds
from auditor.tester.coverage import Seen
from auditor.tester.mutants import Mutant, mutants

__all__ = ["Mutant", "Seen", "differences", "kinds_of", "mutants", "possible_kinds"]
