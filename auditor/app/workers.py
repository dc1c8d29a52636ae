"""Work in several processes, on one machine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.context import BaseContext
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

LEAST_BYTES: Final = 256 * 1024**2
"""Bytes of files that are worth a process of their own: to start the first takes as long as to judge so many."""

PART_BYTES: Final = 16 * 1024**2
"""Bytes of a file that a process takes at once: the others wait no longer for the last one than it takes for these."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Work: TypeAlias = Callable[[Iterator[tuple[int, Item]]], Result]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(works: Sequence[Work[Item, Result]], items: Sequence[Item]) -> list[Result]:
    """
    Do each of some pieces of work in a process of its own, on those of some items that no other has taken.

    They get items with their numbers, the least first, until all are taken: so none waits for a slower one. A single
    one is done here. Pieces of work, items and results are pickled.

    Result: what each returns.

    Raises:
        ChildProcessError: a process has ended before its time.
        Exception: whatever one of them raises.
    """
    if len(works) == 1:
        return [work(enumerate(items)) for work in works]
    context = _context()
    settings = (gc.get_threshold(), context.Value("q", 0))
    with ProcessPoolExecutor(len(works), mp_context=context, initializer=_begin, initargs=settings) as pool:
        try:
            doing = [pool.submit(_do, work, items) for work in works]
            return [each.result() for each in doing]
        except BrokenProcessPool:
            raise ChildProcessError(
                "a process has ended before its time; --processes 1 needs no other"
            ) from None
        except BaseException:
            end_processes()  # nobody waits for the others
            raise


class _Process:
    """What a process knows of those beside it: how many items were taken."""

    taken: Synchronized[int]


def _do(work: Work[Item, Result], items: Sequence[Item]) -> Result:
    return work(_untaken(items))


def _untaken(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    while True:
        with _Process.taken.get_lock():
            number = _Process.taken.value
            _Process.taken.value += 1
        if number >= len(items):
            return
        yield number, items[number]


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


def _begin(threshold: tuple[int, int, int], taken: Synchronized[int]) -> None:
    """Look for garbage as seldom as the process that waits, leave interruptions to it, and end when it does."""
    gc.set_threshold(*threshold)
    _Process.taken = taken
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
