"""The base of every document that people write: frozen, strict, and without unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from auditor.model.instant import Duration

T = TypeVar("T")

Many: TypeAlias = Annotated[tuple[T, ...], Field(strict=False)]
"""A YAML list, kept as a tuple."""


class Document(BaseModel):
    """A mapping in a YAML file. Unknown keys are errors; no value is converted (`"1"` is not `1`)."""

    # A model is built when it is first used: most are only parts of another one, and need no validator of their own.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True
    )


def _duration(text: str) -> str:
    Duration.parse(text)
    return text


DurationText: TypeAlias = Annotated[
    str,
    AfterValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]{1,9}(ms|s|min|m|h|d|w|mo|y))+$"}),
]
"""A length of time as people write it: `90s`, `24h`, `14d`, `12mo`."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing is said here; write why, or who answers for it")
    return text


Said: TypeAlias = Annotated[str, AfterValidator(_said), Field(json_schema_extra={"pattern": r"\S"})]
"""A text that says something."""

Scalar: TypeAlias = str | int | float | bool | None
"""A YAML scalar."""

JSONSchema: TypeAlias = dict[str, Any]
"""A JSON Schema, as data."""
