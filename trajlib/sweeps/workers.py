"""Where the cells of a sweep are computed: here, or with any executor; what comes back is the bytes of a file, or an exception."""

from __future__ import annotations

import itertools
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import suppress

from . import shards as _shards

PATIENCE = 5.0
"""Seconds without an answer after which a pool is asked whether all its workers are alive."""


def distribute(executor: Executor, in_flight: int, task: tuple, todo: list[dict], header, keep) -> None:
    attempt = time.time_ns()  # Dask names tasks by their arguments: none of an earlier attempt is to be taken up
    waiting: Iterator[dict] = iter(todo)
    submit: Callable[..., Future] = executor.submit
    flying: dict[Future, dict] = {}
    try:
        while True:
            for cell in itertools.islice(waiting, in_flight - len(flying)):
                flying[submit(work, *task, cell, header(cell), attempt)] = cell
            if not flying:
                return
            done = wait(flying, PATIENCE, return_when=FIRST_COMPLETED).done
            if not done:
                _let_go(executor)
            for future in done:
                keep(flying.pop(future), _outcome(future))
    except (KeyboardInterrupt, BrokenExecutor, CancelledError):
        for future in [f for f in flying if f.done() and not f.cancelled() and f.exception() is None]:
            keep(flying.pop(future), future.result())
        raise
    finally:
        for future in flying:
            future.cancel()


def _let_go(executor: Executor) -> None:
    """End a pool of processes that waits for a worker which was killed in the middle of its answer.

    Python's pool reads such an answer until it is whole, which it never is, and so does not notice that the worker is gone. Without
    writers the answer ends: then the pool is broken, as it is after any other loss. (Other executors are left alone.)
    """
    workers = list((getattr(executor, "_processes", None) or {}).values())
    if all(worker.exitcode is None for worker in workers):
        return
    for worker in workers:
        worker.kill()
    with suppress(AttributeError, OSError):
        executor._result_queue._writer.close()  # type: ignore[attr-defined]


def _outcome(future: Future):
    try:
        return future.result()
    except (BrokenExecutor, CancelledError):
        raise
    except Exception as error:  # on the way there or back
        return error


def work(run, fixed: dict, cell: dict, header: bytes, attempt: int = 0) -> BaseException | tuple[bytes, float]:
    """One cell, here or on a worker: the bytes of its file and the seconds it took, or its exception."""
    began = time.perf_counter()
    try:
        return _shards.pack(run(**fixed, **cell), header), time.perf_counter() - began
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None
    except BaseException as error:  # sys.exit too: one cell cannot end all others
        if not attempt:
            return error
        text = "".join(traceback.format_exception(error))  # a traceback itself does not travel
        try:
            error.add_note(text)
            return pickle.loads(pickle.dumps(error))
        except Exception:  # it would break a pool on its way back
            return RuntimeError(text)
