"""The Celery tasks: an id in, one coroutine, no logic. Celery's states are for onlookers; nothing reads them here.

AsyncResult of the job's id: PROGRESS with the fields of `_meta`; SUCCESS with the same and the files' names;
FAILURE with the job's error; REVOKED for a cancelled job.
"""

import asyncio
import gc
import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import click
from billiard.process import current_process
from celery import Task
from celery.exceptions import Ignore
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    task_prerun,
    worker_before_create_process,
    worker_process_init,
    worker_ready,
)
from click.core import ParameterSource
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks import janitor, pipeline
from tasks.alive import Alive
from tasks.celery import LOOK_TASK, SWEEP_SECONDS, SWEEP_TASK, app
from tasks.dispatch import CLEAN_UP_TASK, DOWNLOAD_TASK
from tasks.errors import GaveWay, JobCancelled, LeaseLost, ManhwaError
from tasks.jobs.job import JobState, Progress
from tasks.logs import begin, set_up
from tasks.look import look
from tasks.settings import task_settings
from tasks.stopping import run_job
from tasks.storage import open_storage
from tasks.titles.schedule import round_seconds

log = logging.getLogger(__name__)

GARBAGE = 10_000
"""After so many new objects it is looked for what may go: by Python's own 700, that would be every few pages."""

app.steps["consumer"].add(Alive)


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
def _begin_at_once(**_: object) -> None:
    """Beat counts its minute from its start: one that dies often would never come to its end."""
    sweep.apply_async(expires=SWEEP_SECONDS)
    look_around.apply_async(expires=round_seconds(task_settings().look_interval))


@worker_before_create_process.connect
def _keep_what_is_there(**_: object) -> None:
    """What is loaded by now stays: looking through it for what may go takes time, and copies what a fork shares."""
    gc.freeze()
    gc.set_threshold(GARBAGE)


@worker_ready.connect
def _keep_the_disk_clean(**_: object) -> None:
    """With STORAGE_URL each machine has a disk of its own, and messages to sweep reach only one of them."""
    if task_settings().storage_url:
        threading.Thread(target=_sweep_disk_now_and_then, name="sweep", daemon=True).start()


def _sweep_disk_now_and_then() -> None:
    while True:
        try:
            asyncio.run(janitor.sweep_disk(task_settings()))
        except (RedisError, OSError) as error:
            log.warning("the disk could not be swept: %s", error)
        time.sleep(SWEEP_SECONDS)


@worker_process_init.connect
def _look_at_the_storage(**_: object) -> None:
    """A wrong key is told at the start. In a child, as the library's threads do not outlive a fork, and in one of them."""
    child: Any = current_process()
    if task_settings().storage_url and child.index == 0:
        storage = open_storage(task_settings())
        threading.Thread(target=lambda: asyncio.run(storage.wait()), name="storage", daemon=True).start()


# What a job ends with is told in one line, where it is known why; a traceback is for what nobody thought of.
@app.task(name=DOWNLOAD_TASK, bind=True, throws=(ManhwaError,))
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
        with suppress(OperationalError, RedisError):  # an onlooker's loss alone
            self.backend.mark_as_revoked(task_id, reason="cancelled")
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


@app.task(name=LOOK_TASK)
def look_around() -> int:
    """Look for new chapters of followed titles; how many there are."""
    return asyncio.run(look(task_settings()))


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
