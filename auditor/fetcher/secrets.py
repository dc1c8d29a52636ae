"""Secrets that the environment keeps in a file, or has a command for."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from auditor.fetcher.failures import FetchError
from auditor.model.environment import SecretSource
from auditor.model.secret import Secret

COMMAND_TIMEOUT_S: Final = 30.0
MAX_SECRET_BYTES: Final = 64 * 1024
"""A private key of 16,384 bits has some 13 kB."""


async def fetched_secret(source: Secret | SecretSource) -> Secret:
    """
    Return a secret, read or asked for where it is only named. A line break at its end is no part of it.

    A command runs without a shell, for `COMMAND_TIMEOUT_S` at most; neither it nor anything that it writes is
    ever shown. Files and programs are named by absolute paths, or programs by names found on `PATH`: what
    lies in the working directory may be somebody's merge request.

    Raises:
        FetchError: there is no secret to be had; the message names the variable alone.
    """
    if isinstance(source, Secret):
        return source
    content = await (_from_file(source) if source.way == "file" else _from_command(source))
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > MAX_SECRET_BYTES:
        what = "is in the file" if source.way == "file" else "comes from the command"
        raise _unusable(
            source, f"What {what} is no secret of at most {MAX_SECRET_BYTES:,} bytes of UTF-8 text"
        )
    return Secret(text)


async def _from_file(source: SecretSource) -> bytes:
    if not Path(source.value).is_absolute():
        raise _unusable(source, "The path is not absolute")

    def read() -> bytes:
        with Path(source.value).open("rb") as file:
            return file.read(MAX_SECRET_BYTES + 1)

    try:
        return await asyncio.to_thread(read)
    except (OSError, ValueError) as error:
        raise _unusable(source, f"The file can not be read ({_why(error)})") from None


async def _from_command(source: SecretSource) -> bytes:
    try:
        words = shlex.split(source.value)
    except ValueError:
        words = []
    if not words:
        raise _unusable(source, "It is no command, or a quote in it has no end")
    if "/" in words[0] and not Path(words[0]).is_absolute():
        raise _unusable(source, "The path of the program is not absolute")
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _unusable(source, f"The command can not be run ({_why(error)})") from None
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            content = await _output(process)
    except TimeoutError:
        raise _unusable(source, f"The command took more than {COMMAND_TIMEOUT_S:.0f} s") from None
    if process.returncode:
        raise _unusable(source, f"The command failed (status {process.returncode})")
    return content


async def _output(process: asyncio.subprocess.Process) -> bytes:
    """Return what a process writes; whoever does not wait for its end ends it, and whatever it started."""
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return output


def _why(error: Exception) -> str:
    """Return what went wrong without the path or the command, which the error would repeat."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else type(error).__name__


def _unusable(source: SecretSource, reason: str) -> FetchError:
    return FetchError(
        "credentials.unusable",
        f"The client secret is to come from the {source.way} that {source.variable} names. {reason}.",
        f"Mend {source.variable}, or set {source.variable.removesuffix(f'_{source.way.upper()}')} itself.",
    )
