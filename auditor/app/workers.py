"""Work in several processes, on one machine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.context import BaseContext
from threading import Thread
from typing import Final, TypeVar

LEAST_BYTES: Final = 64 * 1024**2
"""Bytes of a file that are worth a process of their own: to start one takes as long as to judge some of them."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """
    Do a piece of work for each item, each in a process of its own; one alone is done here.

    Result: what *work* returns, in the order of the items. *work*, the items and what it returns are pickled.

    Raises:
        ChildProcessError: a process has ended before its time.
        Exception: whatever *work* raises.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    with ProcessPoolExecutor(
        len(items), mp_context=_context(), initializer=_begin, initargs=(gc.get_threshold(),)
    ) as pool:
        try:
            return list(pool.map(work, items))
        except BrokenProcessPool:
            raise ChildProcessError(
                "a process has ended before its time; --processes 1 needs no other"
            ) from None
        except BaseException:
            end_processes()  # nobody waits for the others
            raise


def end_processes() -> None:
    """End the processes that are working."""
    for process in multiprocessing.active_children():
        process.terminate()


@cache
def _context() -> BaseContext:
    """Return how processes are started: by one that has imported everything, where the system can do that."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["auditor.app.lines"])
    return context


def _begin(threshold: tuple[int, int, int]) -> None:
    """Look for garbage as seldom as the process that waits, leave interruptions to it, and end when it does."""
    gc.set_threshold(*threshold)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
