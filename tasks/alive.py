"""The part of a worker by which it tells that it is alive."""

import logging
import os
from typing import Any

from celery import bootsteps
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.cache import ChapterCache
from tasks.jobs import presence
from tasks.settings import task_settings
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

SHORT = 1_000_000_000
"""Free bytes from which on every other one counts."""


class Alive(bootsteps.StartStopStep):
    """Runs in the worker's main loop: one that hangs is not told of. Begins anew with each connection to Redis."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        self._tell(parent)
        self._timer = parent.timer.call_repeatedly(presence.TELL_SECONDS, self._tell, (parent,))

    def stop(self, parent: Any) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if parent.connection is None:  # it was lost, and nothing can be told
            return
        try:
            presence.leave(_client(parent), _name(parent))
        except (RedisError, OperationalError, OSError) as error:
            log.info("it could not be told that this worker leaves: %s", type(error).__name__)

    def _tell(self, parent: Any) -> None:
        queues = sorted(parent.app.amqp.queues.consume_from)
        try:
            presence.tell(_client(parent), _name(parent), queues, _room())
        except (RedisError, OperationalError, OSError) as error:
            log.warning("it could not be told that this worker is alive: %s", type(error).__name__)


def _name(parent: Any) -> str:
    """Not only what Celery calls it: workers of one host that were given no name all have the same."""
    return f"{parent.hostname} {os.getpid()}"


def _room() -> int:
    """Bytes that jobs may fill."""
    settings = task_settings()
    workspace = Workspace(settings)
    free = workspace.free_bytes()
    # What the cache holds goes where a job needs the room; adding it up takes a while, so only where it matters.
    return free if free > SHORT else free + ChapterCache(workspace.chapters, settings.cache_limit).size


def _client(parent: Any) -> Any:
    # Not `client`: its one connection may be waiting for the next message, and would read our answer for one.
    return parent.connection.default_channel._create_client()  # noqa: SLF001
