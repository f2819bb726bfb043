"""How a worker ends when told to: SIGTERM, SIGINT and SIGQUIT all give its jobs to the next worker, within `STOP_SECONDS`.

Celery's own answer to SIGTERM waits for running jobs, up to half an hour; what it does at SIGQUIT is right, and is done for all
three. A second signal ends the worker at once: its leases run out, and the pages on disk are kept, as after a kill.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from billiard import active_children
from celery.apps import worker as celery_worker
from celery.signals import worker_ready

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
"""A worker that is not gone by then is ended with -9; who sent the signal usually does that after 10 s."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

TOLD = "told to stop: its jobs go to the next worker; a second signal ends it at once"

T = TypeVar("T")


@worker_ready.connect
def _hand_over_when_told(**_: object) -> None:
    celery: Any = signal.getsignal(signal.SIGQUIT)
    worker = os.getpid()
    told = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != worker:  # a fork that has not set its own handlers yet
            os._exit(0)
        if told.is_set():
            _end_at_once()
        told.set()
        # Celery says "Cold shutdown", and that Ctrl-C "will terminate all running tasks".
        celery_worker.safe_say = _unsaid  # type: ignore[attr-defined]  # the stubs leave it out
        # In a thread: the main one may be in the middle of a line.
        threading.Thread(target=log.info, args=(TOLD,), daemon=True).start()
        late = threading.Timer(STOP_SECONDS, _end_at_once)
        late.daemon = True
        late.start()
        celery(number, frame)
        # Celery replaces its handlers while it stops.
        _listen()

    def _listen() -> None:
        for number in SIGNALS:
            signal.signal(number, stop)

    _listen()


def _unsaid(*_: object) -> None:
    pass


def _end_at_once() -> None:
    for child in active_children():
        if child.pid:
            os.kill(child.pid, signal.SIGKILL)
    os._exit(1)


def run_job(work: Coroutine[Any, Any, T]) -> T:
    """The work's result. SIGTERM cancels it, once: the second one must not break off what the first one began."""
    with _signals_restored():
        return asyncio.run(_until_told(work))


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(work)
    told = asyncio.Event()

    def cancel() -> None:
        if not told.is_set():
            told.set()
            working.cancel()

    # What Celery's own handler raises strikes wherever the job is, even in the middle of giving it back.
    loop.add_signal_handler(signal.SIGTERM, cancel)
    try:
        return await working
    except asyncio.CancelledError:
        if told.is_set():
            raise SystemExit(0) from None
        raise


@contextmanager
def _signals_restored() -> Iterator[None]:
    """A loop that ends leaves none of the handlers that were there before it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
