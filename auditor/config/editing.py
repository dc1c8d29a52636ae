"""Changes to what people wrote, with everything else left as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from auditor.config.formatting import formatted, round_trip
from auditor.config.request import WAIVERS_FILE
from auditor.model.diagnostic import Checked

_EMPTY = "version: 1\nwaivers: {}\n"


def with_waiver(text: str, name: str, waiver: Mapping[str, Any]) -> Checked[str]:
    """
    Return the text of a `waivers.yaml` with one more waiver at its end, in canonical form and with all comments.

    *text* is a mapping, or empty where there is no file yet; *waiver* holds texts, dates and lists of texts.
    What it says is not checked here.
    """
    editor = round_trip()
    document = editor.load(text or _EMPTY)
    waivers = document.get("waivers")
    if not waivers:
        waivers = document["waivers"] = CommentedMap()
    waivers[name] = CommentedMap(
        {key: _flow(value) if isinstance(value, list) else value for key, value in waiver.items()}
    )
    if len(waivers) > 1:
        waivers.yaml_set_comment_before_after_key(name, before="\n")
    out = StringIO()
    editor.dump(document, out)
    return formatted(out.getvalue(), WAIVERS_FILE)


def _flow(texts: list[str]) -> CommentedSeq:
    """Return a list that is written in one line, in which more than elsewhere has to stand in quotes."""
    sequence = CommentedSeq(
        text if re.fullmatch(r"[\w.-]+", text, re.ASCII) else DoubleQuotedScalarString(text) for text in texts
    )
    sequence.fa.set_flow_style()
    return sequence
