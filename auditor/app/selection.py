"""Which checks a job is about: `--check`, `--tag`, `--control`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean

if TYPE_CHECKING:
    from auditor.model.query import CompiledCheck, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """
    What checks must be to be selected; of each kind any one is enough, and nothing given selects all.

    `checks` are ids, alone or as PACK/CHECK or ENVIRONMENT/PACK/CHECK; `controls` are FRAMEWORK or
    FRAMEWORK:CONTROL; `frameworks` are those that the verdicts are shown by. Upper and lower case are one.
    """

    checks: Sequence[str] = ()
    tags: Sequence[str] = ()
    controls: Sequence[str] = ()
    frameworks: Sequence[str] = ()

    def apply(self, program: Program) -> Checked[Program]:
        """
        Return a program in which every other check is excluded, with the reason.

        A word that selects nothing is a mistake, and so is a selection that leaves nothing to examine.
        """
        given = [(rule, words) for rule in _RULES if (words := getattr(self, rule.field))]
        if not given:
            return Checked(program)
        problems = [
            problem for rule, words in given for word in words if (problem := rule.problem(word, program))
        ]
        if problems:
            return Checked(None, tuple(problems))
        options = " ".join(f"{rule.option} {word}" for rule, words in given for word in words)
        checks = tuple(
            check
            if check.excluded is not None or all(rule.selects(words, check) for rule, words in given)
            else replace(check, excluded=f"Not selected by {options}.", selected=False)
            for check in program.checks
        )
        if all(check.excluded is not None for check in checks):
            return Checked(None, (_nothing(options),))
        return Checked(replace(program, checks=checks))


@dataclass(frozen=True, slots=True)
class _Rule:
    """An option that selects, and the names by which it knows a check."""

    option: str
    field: str
    noun: str
    names: Callable[[CompiledCheck], Collection[str]]

    def selects(self, words: Sequence[str], check: CompiledCheck) -> bool:
        return not {word.casefold() for word in words}.isdisjoint(map(str.casefold, self.names(check)))

    def problem(self, word: str, program: Program) -> Diagnostic | None:
        """Return the mistake of a word that no check goes by."""
        if any(self.selects((word,), check) for check in program.checks):
            return None
        known = {name for check in program.checks for name in self.names(check)}
        return Diagnostic(
            code="option.selects-nothing",
            summary="Nothing selected",
            detail=f'{self.noun} "{word}".',
            help=did_you_mean(word, known)
            or f"See the checks and their {self.field}: auditor graph, or the policy files.",
            subject=self.option,
        )


def _ids(check: CompiledCheck) -> Collection[str]:
    return check.id, f"{check.pack}/{check.id}", check.name


def _controls(check: CompiledCheck) -> Collection[str]:
    named = (
        f"{framework}:{control}" for framework, controls in check.controls.items() for control in controls
    )
    return {*check.controls, *named}


_RULES: Final = (
    _Rule("--check", "checks", "There is no check", _ids),
    _Rule("--tag", "tags", "No check has the tag", lambda check: check.tags),
    _Rule("--control", "controls", "No check has the control", _controls),
    _Rule("--framework", "frameworks", "No check speaks to", lambda check: check.controls),
)


def _nothing(options: str) -> Diagnostic:
    return Diagnostic(
        code="option.selects-nothing",
        summary="Nothing selected",
        detail=f"No check is all that is asked for by {options}, unless the project excludes it.",
        help="Leave out one of the options: of different ones, a check has to satisfy each.",
        subject=options.partition(" ")[0],
    )
