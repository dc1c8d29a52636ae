"""`auditor console`: SCIM filters and JMESPath on given records, one line at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from auditor import config, jmes, scim
from auditor.app.clock import wall_clock
from auditor.model.diagnostic import Checked, Mistake, did_you_mean
from auditor.model.resource import ResourceKind, fields
from auditor.model.value import JSON
from auditor.reporter import schema as schema_view

HELP: Final = """\
EXPRESSION          JMESPath on the records: a list, or {kind: [...]} with several kinds
where FILTER        go on with the records that a SCIM filter selects; "where" alone: all again
fields              the fields of a record
help, quit
"""


class Console:
    """Given records, and what has been asked of them so far."""

    def __init__(self, records: Sequence[tuple[ResourceKind, tuple[JSON, ...]]]) -> None:
        self._all = records
        self._selected = records

    @classmethod
    def open(cls, options: Sequence[str]) -> Checked[Console]:
        """Read the options `--records KIND=FILE` and return a console on them."""
        kinds = config.shipped_kinds()
        read = config.read_records(list(options), kinds)
        if read.value is None:
            return Checked(None, read.diagnostics)
        return Checked(cls([(kinds[name], records) for name, records in read.value.items()]))

    @property
    def banner(self) -> str:
        """What the console says first."""
        counts = ", ".join(f"{len(records)} {kind.kind}" for kind, records in self._selected)
        return f"{counts}; help explains, quit ends"

    def answer(self, line: str, *, width: int, color: bool) -> str:
        """
        Return what a line comes to: JSON text, or the mistake in it. Ends with a newline.

        Undecided elements of a filter are left out and counted, as `on_missing: skip` would.
        """
        word, _, rest = line.strip().partition(" ")
        try:
            match word:
                case "help":
                    return HELP
                case "fields":
                    return "".join(
                        schema_view.render_kind(kind, width=width, color=color) for kind, _ in self._selected
                    )
                case "where":
                    return self._where(rest.strip())
            return self._evaluate(line)
        except Mistake as mistake:
            return _told(mistake, rest.strip() if word == "where" else line)

    def _where(self, text: str) -> str:
        if not text:
            self._selected = self._all
        else:
            tree = scim.parse(text)
            for kind, _ in self._all:
                _check_attributes(tree, kind)
            self._selected = [
                (kind, tuple(filter(scim.predicate(tree, scim.rules(kind)), records)))
                for kind, records in self._all
            ]
        return f"{self.banner.partition(';')[0]}\n"

    def _evaluate(self, line: str) -> str:
        lists = {kind.kind: list(records) for kind, records in self._selected}
        given = next(iter(lists.values())) if len(lists) == 1 else lists
        missing = jmes.Missing(select=False)
        result = jmes.compile(jmes.parse(line), as_of=wall_clock()).decide(given, missing)
        absent = [*(undecided for _, undecided in missing.found)]
        if isinstance(result, jmes.Undecided):
            names = ", ".join(operand.text for operand in result.operands)
            return f"undecided: {names} is absent\n"
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        if absent:
            names = ", ".join(sorted({operand.text for found in absent for operand in found.operands}))
            text += f"# {len(absent)} left out, undecided: {names} is absent\n"
        return text


def _check_attributes(tree: scim.Filter, kind: ResourceKind) -> None:
    for name, term in scim.terms(tree):
        if kind.attribute(name) is None and scim.spelling(kind, name) is None:
            raise Mistake(
                "policy.unknown-attribute",
                "Unknown attribute",
                detail=f'records of "{kind.kind}" have no "{name}"',
                help=did_you_mean(name, (path for path, _, _ in fields(kind.item))),
                span=term.attribute.span,
            )


def _told(mistake: Mistake, text: str) -> str:
    """Return a mistake below the text that it stands in."""
    start, end = mistake.span or (0, 0)
    lines = [text, f"{' ' * start}{'^' * max(end - start, 1)}", f"{mistake.summary}: {mistake.detail}"]
    if mistake.help:
        lines.append(f"help: {mistake.help}")
    return "\n".join(lines) + "\n"
