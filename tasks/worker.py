"""The Celery tasks: an id in, one coroutine, no logic. Celery's states are for onlookers; nothing reads them here.

AsyncResult of the job's id: PROGRESS with the fields of `_meta`; SUCCESS with the same and the files' names;
FAILURE with the job's error; REVOKED for a cancelled job.
"""

import asyncio
import gc
import logging
from contextlib import suppress
from functools import partial
from json import JSONDecodeError
from typing import Any

import click
from celery import Task
from celery.exceptions import Ignore
from celery.signals import beat_init, celeryd_init, setup_logging, task_prerun, worker_before_create_process
from celery.worker import consumer
from celery.worker.state import maybe_shutdown
from click.core import ParameterSource
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import RedisError

from tasks import janitor, pipeline
from tasks.alive import Alive
from tasks.celery import SWEEP_SECONDS, SWEEP_TASK, app
from tasks.dispatch import CLEAN_UP_TASK, DOWNLOAD_TASK
from tasks.errors import GaveWay, JobCancelled, LeaseLost
from tasks.jobs.job import JobState, Progress
from tasks.logs import begin, set_up
from tasks.settings import task_settings
from tasks.stopping import run_job

log = logging.getLogger(__name__)

app.steps["consumer"].add(Alive)


class _Channel(Channel):
    """Says what is wrong where kombu's own takes the worker with it: when it was cut off (celery/kombu#582), and when what
    stands in the queue is no message."""

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("this channel's connection was lost")
        return super()._connparams(*args, **kwargs)  # type: ignore[misc]  # the stubs leave it out

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # the stubs leave it out
        except JSONDecodeError:
            log.error("what stood in the queue is no message; it is thrown away")  # noqa: TRY400
            return None


class Consumer(consumer.Consumer):
    """Celery's own waits for up to half a minute before it looks whether Redis is back; this one looks every second."""

    def ensure_connected(self, conn: Connection) -> Connection:
        transport: Any = conn.transport
        transport.Channel = type("Channel", (_Channel, transport.Channel), {})
        connected = conn.ensure_connection(
            _not_connected, interval_start=1, interval_step=0, interval_max=1, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connected


def _not_connected(error: Exception, seconds: float) -> None:
    log.warning("Redis is not reached (%s), next try in %.1f s", type(error).__name__, seconds)


@celeryd_init.connect
def _log_as_worker(sender: str, **_: object) -> None:
    set_up(sender.partition("@")[0], task_settings(), _level_asked_for())


@setup_logging.connect
def _log_as_beat(**_: object) -> None:
    """Workers come here too, after their own; that somebody is connected keeps Celery's own set-up away."""
    command = click.get_current_context(silent=True)
    if command and command.info_name == "beat":
        set_up("beat", task_settings(), _level_asked_for())


def _level_asked_for() -> int | None:
    """What `-l` says, if it was given: Celery can't tell that from its default."""
    command = click.get_current_context(silent=True)
    if command and command.get_parameter_source("loglevel") is ParameterSource.COMMANDLINE:
        return int(command.params["loglevel"])
    return None


@task_prerun.connect
def _begin_task(args: list[str], **_: object) -> None:
    """Celery's own lines about the end of the task are about its job as well."""
    begin(**({"job": args[0]} if args else {}))


@beat_init.connect
def _sweep_at_once(**_: object) -> None:
    """Beat counts its minute from its start: one that dies often would never come to its end."""
    sweep.apply_async(expires=SWEEP_SECONDS)


@worker_before_create_process.connect
def _keep_what_is_there(**_: object) -> None:
    """What is loaded by now stays: looking through it for what may go takes time, and copies what a fork shares."""
    gc.freeze()


@app.task(name=DOWNLOAD_TASK, bind=True)
def download(self: "Task[[str], dict[str, Any]]", job_id: str) -> dict[str, Any]:
    """Do the job of that id."""
    task_id = str(self.request.id)
    last = Progress()

    async def report(state: JobState, progress: Progress) -> None:
        nonlocal last
        last = progress
        # In a thread, as it waits for Redis; and there Celery does not know by itself which task it is in.
        update = partial(self.update_state, task_id=task_id, state="PROGRESS", meta=_meta(state, progress))
        try:
            await asyncio.to_thread(update)
        except (RedisError, OSError, RuntimeError) as error:
            log.info("Celery was not told: %s", type(error).__name__)

    try:
        result = run_job(pipeline.run(job_id, task_settings(), report))
    except JobCancelled:
        self.backend.mark_as_revoked(task_id, reason="cancelled")
        with suppress(OperationalError):  # an onlooker's loss alone
            self.send_event("task-revoked")
        raise Ignore from None
    except (LeaseLost, GaveWay):
        raise Ignore from None
    if result is None:
        raise Ignore
    return {**_meta(JobState.READY, last), "progress": 100, "files": [file.name for file in result.files]}


@app.task(name=CLEAN_UP_TASK)
def clean_up(job_id: str) -> None:
    """Remove the files of a job that nobody waits for any more."""
    asyncio.run(janitor.clean_up(job_id, task_settings()))


@app.task(name=SWEEP_TASK)
def sweep() -> int:
    """Remove what dead processes left; how many folders."""
    return asyncio.run(janitor.sweep(task_settings()))


def _meta(state: JobState, progress: Progress) -> dict[str, Any]:
    return {
        "status": state.value,
        "progress": progress.percent,
        "total_chapters": progress.chapters_total,
        "chapters_done": progress.chapters_done,
        "pages_done": progress.pages_done,
        "pages_total": progress.pages_total,
        "bytes": progress.bytes,
    }
