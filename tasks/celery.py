"""The Celery app: `celery -A tasks worker -Q downloads`, `-Q cleanup`, `celery -A tasks beat`."""

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from tasks.dispatch import CLEAN_UP_TASK, CLEANUP, DOWNLOAD_TASK, DOWNLOADS
from tasks.settings import SettingsError, TaskSettings, refused, task_settings
from tasks.titles.schedule import round_seconds

SWEEP_TASK = "tasks.sweep"
SWEEP_SECONDS = 60.0
LOOK_TASK = "tasks.look"


def _app() -> Celery:
    settings = task_settings()
    app = Celery("tasks", include=["tasks.worker"])
    # Not as a setting: before that Celery takes the environment's CELERY_RESULT_BACKEND, and as it stands there.
    app.backend_cls = settings.results.celery_url
    app.conf.update(settings.results.as_result_backend())
    app.conf.update(
        settings.broker.as_broker(
            # Above the hard limit, or a running job's message would be given to a second worker.
            visibility_timeout=max(3600, 2 * settings.task_time_limit),
            unacked_restore_interval=5,
            unacked_restore_throttle=1,
        )
    )
    app.conf.update(
        # Named in full: a bare queue would be bound to the default one's key, and get its messages as well.
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in (DOWNLOADS, CLEANUP)],
        task_default_queue=DOWNLOADS,
        task_create_missing_queues=False,
        task_routes={
            DOWNLOAD_TASK: {"queue": DOWNLOADS},
            CLEAN_UP_TASK: {"queue": CLEANUP},
            SWEEP_TASK: {"queue": CLEANUP},
            LOOK_TASK: {"queue": CLEANUP},
        },
        # Nothing of it is worth a file: the worker module sees to it that a sweep is sent at the start as well.
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            "sweep": _every(SWEEP_SECONDS, SWEEP_TASK),
            "look": _every(round_seconds(settings.look_interval), LOOK_TASK),
        },
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        task_reject_on_worker_lost=True,
        task_time_limit=settings.task_time_limit,
        task_soft_time_limit=settings.task_soft_time_limit,
        result_expires=24 * 3600,
        # Without it a task that ends while Redis is away becomes a FAILURE, though its work is done. But it is for ever:
        # a server that only onlookers ask must not keep workers from the next job.
        result_backend_always_retry=_has_one_server(settings),
        result_backend_max_sleep_between_retries_ms=500,
        worker_consumer="tasks.broker:Consumer",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # True would leave the message of a cancelled task unacknowledged for the whole visibility timeout.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=1.0,
        worker_redirect_stdouts=False,
    )
    return app


def _has_one_server(settings: TaskSettings) -> bool:
    return (settings.broker.hosts, settings.broker.path) == (settings.results.hosts, settings.results.path)


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A message that is worth nothing any more once the next one is sent."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


try:
    app = _app()
except SettingsError as error:
    # Celery's command line would show a traceback; one line says it.
    raise refused(error) from None
