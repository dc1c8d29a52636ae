"""Records given as a file instead of a tenant: a HAL page, a JSON array or NDJSON, each also compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.value import JSON, parse_json

MAX_BYTES: Final = 4 * 1024**3
"""Largest given file after decompression; a decompression bomb has more."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def read_records(options: list[str], catalogue: Catalogue) -> Checked[Mapping[str, tuple[JSON, ...]]]:
    """
    Read the options `--records KIND=FILE`; a kind may be given several files.

    Result: records by resource kind, in the order of the files. A file that is not wholly readable is a
    mistake, with the line or record where it begins.
    """
    found: dict[str, tuple[JSON, ...]] = {}
    diagnostics: list[Diagnostic] = []
    for option in options:
        kind, equals, file = option.partition("=")
        if not equals or not file:
            diagnostics.append(
                _problem(
                    "records.bad-option",
                    option,
                    f'"{option}" is not of the form KIND=FILE.',
                    "--records activities=events.ndjson",
                )
            )
        elif kind not in catalogue:
            diagnostics.append(
                _problem(
                    "records.unknown-kind",
                    option,
                    f'There is no resource kind "{kind}".',
                    did_you_mean(kind, catalogue),
                )
            )
        else:
            try:
                found[kind] = found.get(kind, ()) + tuple(_read(Path(file), catalogue[kind]))
            except (OSError, ValueError, zstandard.ZstdError, zlib.error, EOFError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                diagnostics.append(_problem("records.unreadable", file, f"{reason}.", _FORMS))
    return Checked(None if diagnostics else found, tuple(diagnostics))


_FORMS: Final = (
    "Give a page as PingOne answers it, a JSON array, or one JSON object a line; gzip and zstd are read too."
)

_SUMMARIES: Final = {
    "records.bad-option": "Bad option",
    "records.unknown-kind": "Unknown resource kind",
    "records.unreadable": "Records can not be read",
}


def _problem(code: str, subject: str, detail: str, help: str) -> Diagnostic:
    return Diagnostic(code=code, summary=_SUMMARIES[code], detail=detail, help=help, subject=subject)


def _read(path: Path, kind: ResourceKind) -> Iterator[JSON]:
    with path.open("rb") as stream:
        content = _decompressed(stream)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES // 1024**3} GiB")
    if not content.strip():
        raise ValueError("the file is empty; an empty collection is []")
    whole = _whole(content)
    if whole is None:
        yield from _lines(content)
        return
    records = whole if isinstance(whole, list) else _items(whole, kind)
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f"record {position + 1} is no object")
        yield record


def _decompressed(stream: BinaryIO) -> bytes:
    magic = stream.read(4)
    stream.seek(0)
    if magic.startswith(_GZIP):
        with gzip.open(stream) as inner:
            return inner.read(MAX_BYTES + 1)
    if magic.startswith(_ZSTD):
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as reader:
            out = BytesIO()
            while (block := reader.read(1 << 20)) and out.tell() <= MAX_BYTES:
                out.write(block)
            return out.getvalue()
    return stream.read(MAX_BYTES + 1)


def _whole(content: bytes) -> JSON:
    """Return the file as one JSON document, or None where it is one object a line."""
    first, _, rest = content.lstrip().partition(b"\n")
    if rest.strip() and first.lstrip().startswith(b"{"):
        try:
            parse_json(first)
        except ValueError:
            pass
        else:
            return None
    return parse_json(content.removeprefix(b"\xef\xbb\xbf"))


def _lines(content: bytes) -> Iterator[JSON]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is no object")
        yield record


def _items(page: JSON, kind: ResourceKind) -> list[JSON]:
    """Return the records of a page, or the one record that the document is."""
    found = page
    for step in kind.page.items.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, list):
        return found
    if isinstance(page, dict) and not page.get("_embedded"):
        return [page]
    raise ValueError(f"the page holds no {kind.page.items}")
