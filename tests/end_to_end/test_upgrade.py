"""Two releases at work side by side: a worker gets messages that it does not know."""

import subprocess

import pytest
from celery import Celery
from redis import Redis

from bot.settings import BotSettings
from tests.person import Person, soon


@pytest.mark.usefixtures("bot")
async def test_messages_of_another_release_cost_no_job_and_no_worker(
    mina: Person, settings: BotSettings, worker: subprocess.Popen[bytes]
) -> None:
    celery = Celery("other", broker=settings.broker_url, backend="disabled://", set_as_current=False)
    celery.send_task("tasks.download_faster", args=["0123456789abcdef"], queue="downloads")
    celery.send_task("tasks.download", args=["0123456789abcdef", "a second argument"], queue="downloads")
    celery.send_task("tasks.download", args=["0123456789abcdef"], queue="downloads", serializer="pickle")
    celery.close()
    with Redis(unix_socket_path=str(settings.redis_socket)) as redis:
        redis.lpush("downloads", "no message at all")
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        await soon(lambda: not redis.llen("downloads"), "the queue is empty")
    assert worker.poll() is None
