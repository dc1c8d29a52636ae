"""Which checks rest on which queries, as a Mermaid flowchart (mermaid.js.org/syntax/flowchart)."""

from __future__ import annotations

import re

from auditor.model.plan import Plan
from auditor.reporter.neutral import one_line


def render(plan: Plan) -> str:
    """Write a plan as a flowchart: checks on the left, queries, endpoints of each environment on the right."""
    lines = ["flowchart LR"]
    ids = {name: f"c{number}" for number, name in enumerate(plan.checks)}
    for name in plan.checks:
        shape = '["{}"]:::skipped' if name in plan.skipped else '["{}"]'
        lines.append(f"  {ids[name]}{shape.format(_text(name))}")
    for number, query in enumerate(plan.queries):
        what = "<br/>".join(_text(str(part)) for part in (query.id, query.window) if part)
        lines.append(f'  q{number}(["{what}"])')
        for use in query.uses:
            label = f"|{_text(use.name)}|" if use.name else ""
            lines.append(f"  {ids[use.check]} -->{label} q{number}")
    endpoints = dict.fromkeys((query.environment, query.method, query.path) for query in plan.queries)
    names = {endpoint: f"e{number}" for number, endpoint in enumerate(endpoints)}
    for (environment, method, path), name in names.items():
        lines.append(f'  {name}[/"{_text(f"{environment}: {method} {path}")}"/]')
    lines += [
        f"  q{number} --> {names[query.environment, query.method, query.path]}"
        for number, query in enumerate(plan.queries)
    ]
    lines.append("  classDef skipped stroke-dasharray: 4")
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Return a text for a quoted label, in which Mermaid reads entities and markup."""
    return re.sub(r"[^\w .,:/()+-]", lambda match: f"#{ord(match[0])};", one_line(text))
