"""The waivers of a project: read from `waivers.yaml` beside `auditor.yaml`, each checked on its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from auditor.config import documents, yaml
from auditor.config.files import exists
from auditor.config.request import WAIVERS_FILE, Reading
from auditor.model.diagnostic import Checked, did_you_mean
from auditor.model.source import Address
from auditor.model.waiver import BASELINE, Waiver, WaiverDocument, WaiverKind, WaiversFile

KEYS: Final[Mapping[WaiverKind, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "exception": (("starts", "expires"), ("records",)),
    "disposition": (("records",), ("starts", "expires")),
}
"""Of each kind of waiver, the keys that it needs and those that only the other kind has."""


def read(environments: Collection[str], reading: Reading) -> tuple[Waiver, ...]:
    """Return the waivers of the project's folder; *reading* is told what is wrong with them."""
    path = reading.folder / WAIVERS_FILE
    if WAIVERS_FILE not in reading.instead and not exists(path):
        return ()
    document = reading.document(WaiversFile, path, WAIVERS_FILE) or _sound_part(reading)
    return tuple(_waivers(document.waivers, environments, reading)) if document else ()


def waivers_of(text: str, file: str) -> Checked[Mapping[str, Waiver]]:
    """Return the waivers of a text by name, each as it is written."""
    document = documents.read(WaiversFile, text, file)
    if document.value is None:
        return Checked(None, document.diagnostics)
    return Checked({name: _waiver(name, waiver) for name, waiver in document.value.waivers.items()})


def _sound_part(reading: Reading) -> WaiversFile | None:
    """Return the file without the waivers that have mistakes, to look for more in the others."""
    data = yaml.load(reading.texts.get(WAIVERS_FILE, ""), WAIVERS_FILE).value
    written = data.get("waivers") if isinstance(data, dict) else None
    spoiled = {
        problem.address.route[1]
        for problem in reading.problems
        if problem.address and problem.address.file == WAIVERS_FILE and len(problem.address.route) > 1
    }
    if not isinstance(written, dict):
        return None
    sound = {name: waiver for name, waiver in written.items() if name not in spoiled}
    return documents.validate(WaiversFile, {"version": 1, "waivers": sound}, WAIVERS_FILE).value


def _waivers(
    written: Mapping[str, WaiverDocument], environments: Collection[str], reading: Reading
) -> Iterator[Waiver]:
    for name, document in written.items():
        address = Address(file=WAIVERS_FILE).at("waivers", name)
        _check_name(name, address, reading)
        _check_keys(document, address, reading)
        _check_dates(document, address, reading)
        _check_environments(document, environments, address, reading)
        yield _waiver(name, document)


def _waiver(name: str, document: WaiverDocument) -> Waiver:
    """Return a waiver as it is written."""
    return Waiver(
        name=name,
        kind=document.kind,
        check=document.check,
        environments=document.environments,
        where=document.where or "",
        records=document.records,
        reason=document.reason,
        approved_by=document.approved_by,
        ticket=document.ticket,
        starts=document.starts,
        expires=document.expires,
        address=Address(file=WAIVERS_FILE).at("waivers", name),
    )


def _check_name(name: str, address: Address, reading: Reading) -> None:
    if name == BASELINE:
        reading.problem(
            "schema.bad-name",
            "Bad name",
            f'"{name}" is what reports call that which an earlier run found: --baseline.',
            help="Choose another name.",
            address=address.key(),
        )


def _check_keys(document: WaiverDocument, address: Address, reading: Reading) -> None:
    needed, refused = KEYS[document.kind]
    for key in needed:
        if not getattr(document, key):
            reading.problem(
                "schema.missing-key",
                "Missing key",
                f'The key "{key}" is needed of a waiver whose kind is {document.kind}.',
                help=f'Add "{key}: …".',
                address=address.key(),
            )
    for key in refused:
        if getattr(document, key):
            other = "disposition" if document.kind == "exception" else "exception"
            reading.problem(
                "schema.unknown-key",
                "Unknown key",
                f'"{key}" is no key of a waiver whose kind is {document.kind}.',
                help=f"Remove it, or write kind: {other}.",
                address=address.at(key).key(),
            )


def _check_dates(document: WaiverDocument, address: Address, reading: Reading) -> None:
    if document.starts and document.expires and document.expires < document.starts:
        reading.problem(
            "waiver.never-holds",
            "Waiver never holds",
            f"It expires on {document.expires}, before it starts.",
            help="Both days are included: let it expire on the day on which it starts, or later.",
            address=address.at("expires"),
        )


def _check_environments(
    document: WaiverDocument, environments: Collection[str], address: Address, reading: Reading
) -> None:
    for position, name in enumerate(document.environments):
        if name not in environments:
            reading.problem(
                "waiver.unknown-environment",
                "Unknown environment",
                f'The project has no environment "{name}".',
                help=did_you_mean(name, environments),
                address=address.at("environments", position),
            )
