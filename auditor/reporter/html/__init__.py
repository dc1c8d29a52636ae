"""
HTML: one file that opens offline, to be read, searched, filtered, printed and filed.

`views.py` says what stands in it, `charts.py` draws, `page.html` is the page. Its style and script are inline and
named by their hashes in the Content-Security-Policy, which allows nothing else. Nothing of a tenant or a policy is
ever markup, an attribute, an address or a part of the script: it is text, and hostile characters of it are shown.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

import jinja2
from markupsafe import Markup

from auditor.model.verdict import Report
from auditor.reporter.html.views import BOUNDS, FILTERS, Page
from auditor.reporter.neutral import visible

_POLICY: Final = (
    "default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def render(report: Report, **_terminal: object) -> str:
    """
    Write a report as one HTML page without a resource beside it.

    Shape: HTML 5, no style attribute, no event attribute; links lead into the page or to PingOne's admin console.
    Everything is bounded and says so where something is left out: the JSON report has it all.
    """
    return _template().render(
        page=Page(report),
        policy=_POLICY.format(style=_hash(_asset("page.css")), script=_hash(_asset("page.js"))),
        style=Markup(_asset("page.css")),  # noqa: S704  # a file of our own
        script=Markup(_asset("page.js")),  # noqa: S704
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    environment.globals |= BOUNDS
    return environment.from_string(_asset("page.html"))


def _text(value: object) -> object:
    """Return what stands for a value on the page; the one place that every text passes on its way there."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(str(value))


@cache
def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the source expression of an inline element (CSP level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
