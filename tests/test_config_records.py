"""Given records: every form is read whole, or told why not."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.config import Streamed, read_records, records, shipped_kinds, stream_records
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.value import JSON

KINDS = shipped_kinds()
EVENTS = [{"id": f"event-{number}", "recordedAt": f"2026-11-21T09:00:0{number}Z"} for number in range(3)]
COUNTS = [{"startDate": f"2026-11-0{day}T00:00:00Z", "value": day} for day in range(1, 4)]


def page(items: list[JSON], **more: JSON) -> JSON:
    return {"_links": {"self": {"href": "https://x"}}, "_embedded": {"activities": items}, **more}


def linked(items: list[JSON]) -> JSON:
    return page(items, _links={"next": {"href": "https://x?cursor=y"}})


def lines(items: list[JSON], end: str = "\n") -> bytes:
    return "".join(json.dumps(item) + end for item in items).encode()


def dumped(value: JSON, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def zstd_stream(content: bytes) -> bytes:
    """As a pipe writes it: the frame does not tell how long its content is."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(content) + compressor.flush()


FORMS: dict[str, bytes] = {
    "HAL page": dumped(page(EVENTS)),
    "indented HAL page": dumped(page(EVENTS), indent=2),
    "array": dumped(EVENTS),
    "indented array": dumped(EVENTS, indent=2),
    "one object a line": lines(EVENTS),
    "one object a line, the last without its end": lines(EVENTS).rstrip(b"\n"),
    "one object a line, as Windows writes it": lines(EVENTS, "\r\n"),
    "one object a line, with empty lines": b"\n\n" + lines(EVENTS, "\n \n"),
}
WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "with a byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "gzip": gzip.compress,
    "gzip in two members": lambda content: gzip.compress(content[:50]) + gzip.compress(content[50:]),
    "zstd": zstd,
    "zstd of a stream": zstd_stream,
    "zstd in two frames": lambda content: zstd(content[:50]) + zstd_stream(content[50:]),
    "zstd after a frame to skip": lambda content: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd(content),
}


def read(folder: Path, *contents: bytes, kind: str = "activities") -> Checked[Any]:
    options = []
    for number, content in enumerate(contents):
        file = folder / f"{number}.json"
        file.write_bytes(content)
        options.append(f"{kind}={file}")
    return read_records(options, KINDS)


def only(checked: Checked[Any], code: str) -> Diagnostic:
    assert [d.code for d in checked.diagnostics] == [code]
    assert checked.value is None
    return checked.diagnostics[0]


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("form", FORMS)
def test_records_come_in_every_form_and_wrapping(tmp_path, form, wrapping):
    checked = read(tmp_path, WRAPPED[wrapping](FORMS[form]))
    assert checked.diagnostics == ()
    assert checked.value == {"activities": tuple(EVENTS)}


@pytest.mark.parametrize("indent", [None, 2])
def test_one_record_alone_is_a_record(tmp_path, indent):
    assert read(tmp_path, dumped(EVENTS[0], indent)).value == {"activities": (EVENTS[0],)}
    assert read(tmp_path, lines(EVENTS[:1])).value == {"activities": (EVENTS[0],)}


@pytest.mark.parametrize("content", [[], page([])], ids=["array", "page"])
def test_an_empty_collection_is_one(tmp_path, content):
    assert read(tmp_path, dumped(content)).value == {"activities": ()}
    assert read(tmp_path, gzip.compress(dumped(content))).value == {"activities": ()}


def test_a_record_may_hold_what_looks_like_a_page(tmp_path):
    event = {**EVENTS[0], "_embedded": {}, "_links": {}}
    assert read(tmp_path, dumped(event)).value == {"activities": (event,)}


def test_several_files_of_a_kind_are_read_in_their_order(tmp_path):
    assert read(tmp_path, dumped(EVENTS[1:]), lines(EVENTS[:1])).value == {
        "activities": (EVENTS[1], EVENTS[2], EVENTS[0])
    }


def test_kinds_are_kept_apart(tmp_path):
    (tmp_path / "a").write_bytes(dumped(EVENTS))
    (tmp_path / "b").write_bytes(dumped(COUNTS))
    checked = read_records([f"activities={tmp_path}/a", f"active_identity_counts={tmp_path}/b"], KINDS)
    assert checked.value == {"activities": tuple(EVENTS), "active_identity_counts": tuple(COUNTS)}


def test_a_pipe_is_read_like_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(gzip.compress(lines(EVENTS)),))
    writer.start()
    assert read_records([f"activities={tmp_path}/pipe"], KINDS).value == {"activities": tuple(EVENTS)}
    writer.join()


# What is not all there


@pytest.mark.parametrize("compress", [gzip.compress, zstd, zstd_stream])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_compressed_file_that_was_cut_off_is_never_read(compress, data):
    """Also where the part that is left ends with a whole line."""
    whole = compress(lines([{"id": str(number), "padding": "x" * 50} for number in range(1_000)]))
    cut = data.draw(st.integers(3, len(whole) - 1))
    found = _read_bytes(whole[:cut])
    assert [d.code for d in found.diagnostics] == ["records.unreadable"]


def _read_bytes(content: bytes) -> Checked[Any]:
    read_end, write_end = os.pipe()
    writer = threading.Thread(target=_write, args=(write_end, content))
    writer.start()
    try:
        return read_records([f"activities=/dev/fd/{read_end}"], KINDS)
    finally:
        writer.join()
        os.close(read_end)


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


def test_a_page_that_links_to_a_next_one_is_not_all(tmp_path):
    found = only(read(tmp_path, dumped(linked(EVENTS))), "records.incomplete")
    assert found.detail == "Of activities, every given page links to a next one."


def test_pages_of_which_the_last_is_there_are_all(tmp_path):
    checked = read(tmp_path, dumped(linked(EVENTS[:1])), dumped(page(EVENTS[1:])))
    assert checked.value == {"activities": tuple(EVENTS)}


def test_pages_of_which_the_last_is_missing_are_not_all(tmp_path):
    assert only(read(tmp_path, *[dumped(linked([event])) for event in EVENTS]), "records.incomplete").help


@pytest.mark.parametrize(("count", "complete"), [(3, True), (2, True), (4, False), ("4", True), (None, True)])
def test_a_page_that_counts_more_records_than_are_given_is_not_all(tmp_path, count, complete):
    """Where the descriptor says that `count` counts the records of the whole answer."""
    content = dumped({"_embedded": {"activeIdentityCounts": COUNTS}, "count": count})
    checked = read(tmp_path, content, kind="active_identity_counts")
    if complete:
        assert checked.value == {"active_identity_counts": tuple(COUNTS)}
    else:
        assert "counts 4 records, and 3 are given" in only(checked, "records.incomplete").detail


def test_a_count_that_means_nothing_is_ignored(tmp_path):
    assert read(tmp_path, dumped(page(EVENTS, count=100))).value == {"activities": tuple(EVENTS)}


# What is not readable

BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "The file is empty"),
    "only white space": (b" \n\t\n", "The file is empty"),
    "a broken line": (lines(EVENTS[:2]) + b'{"id": \n', "Line 3 is no JSON"),
    "a line cut off": (lines(EVENTS)[:-9], "Line 3 is no JSON"),
    "a line that is no object": (lines([EVENTS[0], 5, EVENTS[1]]), "Line 2 is no object"),
    "two objects on a line": (dumped(EVENTS[0]) * 2, ""),
    "an array of no objects": (b'[{"id": "x"}, 5]', "Record 2 is no object"),
    "a page of no objects": (dumped(page([EVENTS[0], "x"])), "Record 2 is no object"),
    "a page of another kind": (dumped({"_embedded": {"users": []}}), "_embedded.activities"),
    "an answer that is an error": (dumped({"code": "ACCESS_FAILED"}), "neither a page"),
    "a text": (b'"x"', "neither an object nor an array"),
    "a number": (b"5", "neither an object nor an array"),
    "no JSON": (b"id,recordedAt\n", ""),
    "no number of JSON": (b'[{"id": NaN}]', ""),
    "too deep": (b"[" * 100_000, ""),
    "UTF-16": (dumped(EVENTS).decode().encode("utf-16-le")[:-1], ""),
    "no UTF-8": (b'[{"id": "caf\xe9"}]', ""),
    "gzip of nothing": (gzip.compress(b""), "The file is empty"),
    "broken gzip": (b"\x1f\x8b" + bytes(50), ""),
    "gzip with something behind it": (gzip.compress(dumped(EVENTS)) + b"garbage", ""),
    "broken zstd": (b"\x28\xb5\x2f\xfd" + bytes(50), ""),
    "zstd with something behind it": (zstd(dumped(EVENTS)) + b"garbage", ""),
    "zstd with a changed byte": (zstd(lines(EVENTS))[:-6] + b"\0" + zstd(lines(EVENTS))[-5:], ""),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_not_wholly_readable_is_a_mistake(tmp_path, what):
    content, reason = BROKEN[what]
    found = only(read(tmp_path, content), "records.unreadable")
    assert found.subject == str(tmp_path / "0.json")
    assert reason in found.detail
    assert found.detail.endswith(".")


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"\x1f\x8b\x08")
@example(b"\x28\xb5\x2f\xfd\x04")
@example(b"{" * 5_000)
def test_no_bytes_break_the_reader(content):
    checked = _read_bytes(content)
    assert (checked.value is None) == bool(checked.diagnostics)


@pytest.mark.parametrize("compress", [gzip.compress, zstd, zstd_stream, lambda content: content])
def test_a_bomb_is_not_written_out(tmp_path, monkeypatch, compress):
    monkeypatch.setattr(records, "MAX_BYTES", 1_000_000)
    bomb = compress(b" " * 1_000_000 + b"[]")
    assert "more than" in only(read(tmp_path, bomb), "records.unreadable").detail
    monkeypatch.setattr(records, "MAX_BYTES", 1_000_002)
    assert read(tmp_path, bomb).value == {"activities": ()}


@pytest.mark.parametrize("path", ["not-there.json", ".", "nul\0byte"])
def test_a_path_that_can_not_be_read_is_a_mistake(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    found = only(read_records([f"activities={path}"], KINDS), "records.unreadable")
    assert found.subject == path


@pytest.mark.parametrize("option", ["activities", "activities=", "=x", ""])
def test_an_option_names_a_kind_and_a_file(option):
    code = "records.unknown-kind" if option == "=x" else "records.bad-option"
    assert only(read_records([option], KINDS), code).subject == "--records"


def test_an_unknown_kind_is_a_mistake():
    found = only(read_records(["activites=x.json"], KINDS), "records.unknown-kind")
    assert found.help == 'did you mean "activities"?'


def test_mistakes_of_several_files_are_told_together(tmp_path):
    checked = read(tmp_path, b"", b"x", dumped(EVENTS))
    assert [d.code for d in checked.diagnostics] == ["records.unreadable", "records.unreadable"]


# --- files that are not held


def streamed(path: Path, kind: str = "activities") -> Checked[Any]:
    return stream_records([f"{kind}={path}"], KINDS, larger_than=0)


LINES = st.one_of(
    st.sampled_from(
        [*map(dumped, EVENTS), b"", b" ", b"{", b"[]", b"5", b'{"recordedAt": "x"}', b'{"a": "\xff"}']
    ),
    st.sampled_from([b'{"a": "\\ud800"}', b'{"a": 1, "a": 2}', '{"é": "🙂"}'.encode(), b'{"recordedAt": 5}']),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(LINES, min_size=1, max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.sampled_from([40, 10_000]),
)
def test_a_file_that_is_not_held_gives_the_records_that_one_in_memory_does(lines, end, last, block):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_BLOCK", block)
        path = Path(folder, "events.ndjson")
        path.write_bytes(end.join(lines) + (end if last else b""))
        held, found = read_records([f"activities={path}"], KINDS), streamed(path)
        try:
            told = found.diagnostics
            read = tuple(found.value["activities"]) if found.value else None
        except records.UNREADABLE as error:
            told, read = (records.unreadable(str(path), error),), None
        assert [each.detail for each in told] == [each.detail for each in held.diagnostics]
        if held.value is not None:
            assert found.value is not None
            assert read == held.value["activities"]
            assert tuple(found.value["activities"]) == read  # as often as is wanted


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, zstd, zstd_stream], ids=["", "gzip", "zstd", "stream"]
)
def test_a_compressed_file_that_is_not_held_is_decompressed_as_it_is_read(compress, tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_bytes(compress(b"\xef\xbb\xbf" + lines(EVENTS)))
    checked = streamed(path)
    assert checked.value is not None
    found = checked.value["activities"]
    assert isinstance(found, Streamed)
    assert tuple(found) == tuple(EVENTS)
    (whole,) = found.parts
    assert [(place, block) for place, block in whole.blocks()] == [(3, lines(EVENTS))]
    assert [whole.number(place) for place in (3, 3 + len(lines(EVENTS[:1])), 3 + len(lines(EVENTS[:2])))] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("compress", [gzip.compress, zstd, zstd_stream])
def test_a_compressed_file_that_was_cut_off_is_no_file(compress, tmp_path):
    path = tmp_path / "events.ndjson"
    found = [{**EVENTS[0], "id": os.urandom(1_000).hex()} for _ in range(1_000)]
    path.write_bytes(compress(lines(found))[:-5])
    checked = streamed(path)
    assert checked.value is not None
    with pytest.raises(records.UNREADABLE, match=r"too early|end-of-stream"):
        tuple(checked.value["activities"])


@given(
    st.lists(st.sampled_from([b"{}", b"", b" ", b'{"a": 1}', b"x" * 50]), max_size=12),
    st.integers(1, 6),
    st.booleans(),
)
def test_the_parts_of_a_file_are_its_lines_each_in_one_of_them(some, most, last):
    with TemporaryDirectory() as folder:
        path = Path(folder, "events.ndjson")
        path.write_bytes(b"\n".join(some) + b"\n" * last)
        whole = records.Lines(path, KINDS["activities"])
        parts = whole.cut(most)
        assert len(parts) <= most
        blocks = [block for part in parts for _, block in part.blocks()]
        assert b"".join(blocks) == path.read_bytes()
        assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_pages_beside_a_file_that_is_not_held_are_counted_together(tmp_path):
    (tmp_path / "events.ndjson").write_bytes(lines(EVENTS))
    (tmp_path / "page.json").write_bytes(dumped(page(EVENTS, count=9)))
    options = [f"activities={tmp_path / name}" for name in ("events.ndjson", "page.json")]
    found = stream_records(options, KINDS, larger_than=0)
    assert found.value is not None
    assert isinstance(found.value["activities"], Streamed)
    assert tuple(found.value["activities"]) == (*EVENTS, *EVENTS)


def test_files_are_held_as_long_as_they_are_small_together(tmp_path):
    (tmp_path / "one.ndjson").write_bytes(lines(EVENTS))
    (tmp_path / "other.json").write_bytes(dumped(page(EVENTS), indent=1))
    options = [f"activities={tmp_path / name}" for name in ("one.ndjson", "other.json")]
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    for room, are_held in ((size, True), (size - 1, False), (len(lines(EVENTS)), False)):
        found = stream_records(options, KINDS, larger_than=room)
        assert found.value is not None
        assert isinstance(found.value["activities"], tuple) is are_held
        assert tuple(found.value["activities"]) == (*EVENTS, *EVENTS)


@pytest.mark.parametrize("form", ["page", "array", "indented page", "gzip page"])
@pytest.mark.parametrize("block", [1, 10_000])
def test_the_records_of_a_page_that_is_not_held_are_lines(form, block, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", block)
    path = tmp_path / "events.json"
    items: list[JSON] = [*EVENTS, {"id": "é", "text": "a\nb", "list": [1, {}], "recordedAt": "x"}]
    content = dumped(items if form == "array" else page(items), indent=1 if "indented" in form else None)
    path.write_bytes(gzip.compress(content) if "gzip" in form else content)
    found = streamed(path).value
    assert found is not None
    (part,) = found["activities"].parts
    blocks = list(part.blocks())
    assert b"".join(block for _, block in blocks).count(b"\n") == len(items)
    assert [json.loads(line) for _, block in blocks for line in block.splitlines()] == items == list(part)
    places = [place for place, _ in blocks]
    assert places == [sum(len(block) for _, block in blocks[:number]) for number in range(len(blocks))]
    assert [part.number(place) for place in places] == ([1, 2, 3, 4] if block == 1 else [1])


@pytest.mark.parametrize(
    "content", [b'{"_embedded": 5}', b'{"_embedded": {"activities": 5}}', b"{", b'[{}, {"a": }]']
)
def test_what_is_neither_a_page_nor_an_array_is_told_as_if_it_were_held(content, tmp_path):
    path = tmp_path / "events.json"
    path.write_bytes(content)
    (told,) = streamed(path).diagnostics
    assert told == only(read_records([f"activities={path}"], KINDS), "records.unreadable")


@pytest.mark.parametrize("form", ["record", "page", "array"])
def test_what_can_only_be_held_is_read_beside_what_is_not(form, tmp_path):
    record = {"id": "lone \ud800", "number": 2**40, "recordedAt": "x"}
    content = {"record": record, "page": page([record]), "array": [record]}[form]
    (tmp_path / "events.ndjson").write_bytes(lines(EVENTS))
    (tmp_path / "last.json").write_text(json.dumps(content), encoding="utf-8")
    options = [f"activities={tmp_path / name}" for name in ("events.ndjson", "last.json")]
    found = stream_records(options, KINDS, larger_than=0)
    assert found.value is not None
    assert isinstance(found.value["activities"], Streamed)
    assert tuple(found.value["activities"]) == (*EVENTS, record)


def test_a_line_without_an_end_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_BYTES", 100_000)
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(lines(EVENTS) + b" " * 1_000_000))
    found = streamed(path).value
    assert found is not None
    with pytest.raises(ValueError, match="a line holds more than"):
        list(found["activities"])


def test_a_damaged_line_beside_a_page_that_counts_is_told(tmp_path):
    (tmp_path / "users.ndjson").write_bytes(b'{"id": "x"}\n{"id": \n')
    counting = {"_embedded": {"users": [{"id": "y"}]}, "count": 9, "_links": {}}
    (tmp_path / "page.json").write_bytes(dumped(counting))
    options = [f"users={tmp_path / name}" for name in ("users.ndjson", "page.json")]
    assert KINDS["users"].page.count == "items"
    for held in (None, 0):
        (told,) = stream_records(options, KINDS, larger_than=held).diagnostics
        assert (told.code, told.detail[:12]) == ("records.unreadable", "Line 2 is no")
