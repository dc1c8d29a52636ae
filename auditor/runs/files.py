"""Files that are there whole or not at all, and read with bounds."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

import zstandard

PRIVATE: Final = 0o600
"""The mode of evidence: it may hold names and addresses."""


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """
    Write a file whole or not at all; folders on its way are made.

    *mode* is its permissions, as if it had been opened for writing where it is absent.

    Raises:
        OSError: it can not be written; nothing of it is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(_usual_mode() if mode is None else mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _usual_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def read_bounded(path: Path, most: int) -> bytes:
    """
    Return what a file holds.

    Raises:
        OSError: it can not be read, is no file (a pipe never ends), or holds more than *most* bytes.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(22, "it is no file")
    if status.st_size > most:
        raise OSError(27, "it is too large")
    return path.read_bytes()


def compressed(content: bytes) -> bytes:
    """Return bytes as a zstd frame (RFC 8878) with a checksum."""
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(content)


def decompressed(content: bytes, most: int) -> bytes:
    """
    Return what a zstd frame holds.

    Raises:
        ValueError: it is no frame, or holds more than *most* bytes.
    """
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(content) as stream:
            found = stream.read(most + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if len(found) > most:
        raise ValueError(f"it holds more than {most:,} bytes")
    return found
