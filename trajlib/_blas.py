"""One thread of BLAS where products are too small to be worth sharing: on a busy machine threads that wait for each other cost most of
the time, and on an idle one they save none; nor do the last bits then depend on how many there are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

SHARED = 1 << 23
"""Numbers in a matrix from which its products are left to as many threads as BLAS likes: 64 MiB, beyond what a cache holds."""


@cache
def _controller():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread(size: int) -> AbstractContextManager:
    """A context in which products with a matrix of so many numbers run on one thread, if they are small."""
    return _controller().limit(limits=1, user_api="blas") if size < SHARED else nullcontext()
