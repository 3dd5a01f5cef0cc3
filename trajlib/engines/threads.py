"""Groups of trajectories shared out among threads; no result depends on how."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def n_threads(threads: int | None) -> int:
    """The number asked for, else TRAJLIB_THREADS, else the cores this process may use."""
    if threads is not None:
        return threads
    given = os.environ.get("TRAJLIB_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_out(groups: int, threads: int, call: Callable[[int, int], object]) -> None:
    """Call ``call(first, end)`` until all groups are done, from so many threads at once."""
    if threads == 1 or groups == 1:
        call(0, groups)
        return
    parts = min(4 * threads, groups)  # a core that is kept from its work delays a small part only
    cuts = [groups * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(call, *cut) for cut in itertools.pairwise(cuts)]
    for future in futures:
        future.result()
