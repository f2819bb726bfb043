"""The Celery tasks: an id in, one coroutine, no logic. Celery's states are for onlookers; nothing reads them here.

AsyncResult of `<job id>.<attempt>`: PROGRESS with the fields of `_meta`; SUCCESS with the same and the files' names;
FAILURE with the job's error; REVOKED for a cancelled job.
"""

import asyncio
import logging
from typing import Any

from celery import Task
from celery.exceptions import Ignore
from celery.signals import celeryd_init, setup_logging

from tasks import janitor, pipeline
from tasks.celery import SWEEP_TASK, app
from tasks.dispatch import CLEAN_UP_TASK, DOWNLOAD_TASK
from tasks.errors import JobCancelled, LeaseLost
from tasks.jobs.job import JobState, Progress
from tasks.settings import task_settings


@celeryd_init.connect
def _log_as_worker(sender: str, **_: object) -> None:
    _log_as(sender.partition("@")[0])


@setup_logging.connect
def _log_as_beat(loglevel: int, **_: object) -> None:
    """Workers come here too, after their own; that somebody is connected keeps Celery's own set-up away."""
    _log_as("beat", loglevel)


def _log_as(process: str, level: int = logging.INFO) -> None:
    logging.basicConfig(level=level, format=f"%(asctime)s %(levelname)s {process} %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole addresses, and some hold keys


@app.task(name=DOWNLOAD_TASK, bind=True)
def download(self: "Task[[str], dict[str, Any]]", job_id: str) -> dict[str, Any]:
    """Do the job of that id."""
    task_id = str(self.request.id)
    last = Progress()

    async def report(state: JobState, progress: Progress) -> None:
        nonlocal last
        last = progress
        # In a thread, as it waits for Redis; and there Celery does not know by itself which task it is in.
        await asyncio.to_thread(self.update_state, task_id=task_id, state="PROGRESS", meta=_meta(state, progress))

    try:
        result = asyncio.run(pipeline.run(job_id, task_settings(), report))
    except JobCancelled:
        self.backend.mark_as_revoked(task_id, reason="cancelled")
        raise Ignore from None
    except LeaseLost:
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
