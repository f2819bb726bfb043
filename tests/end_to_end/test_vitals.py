"""What operators ask: is it well, and what does it do?"""

import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.local.redis_server import is_live
from bot.settings import BotSettings
from bot.vitals import NO_BUCKET, Doctor
from tasks.jobs.presence import Presence
from tasks.jobs.store import JobStore
from tasks.resources import open_redis
from tasks.storage import open_storage
from tests.conftest import StartWorker, on_database, process, running_bot
from tests.end_to_end.test_main_job import job_folders
from tests.end_to_end.test_web_api import asked, ended
from tests.person import Person, soon
from tests.s3_server import S3Server


async def health_of(api: httpx.AsyncClient) -> tuple[int, dict[str, object]]:
    answer = await api.get("/api/health")
    return answer.status_code, answer.json()


async def sick(api: httpx.AsyncClient, sentence: str) -> dict[str, object]:
    """Wait until it says so."""
    found: dict[str, object] = {}

    while sentence not in str(found.get("message")):
        status, found = await health_of(api)
        assert (status == HTTPStatus.OK) is bool(found["healthy"])
    return found


@pytest.fixture
async def lonely(bot_settings: BotSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A program that speaks to a bot whose queue no worker of other tests serves."""
    settings = on_database(bot_settings, 2)
    async with running_bot(settings) as address, httpx.AsyncClient(base_url=address, timeout=40.0) as client:
        yield client


async def test_health_tells_what_is_there_and_when_nobody_would_do_a_job(
    lonely: httpx.AsyncClient, bot_settings: BotSettings, start_worker: StartWorker
) -> None:
    api = lonely
    with start_worker("alive", CELERY_BROKER_URL=on_database(bot_settings, 2).broker_url) as worker:
        while (await health_of(api))[0] != HTTPStatus.OK:
            pass
        status, told = await health_of(api)
        assert (status, told["healthy"], told["redis"]) == (200, True, True)
        assert told["workers"] == {"downloads": 1, "cleanup": 1}
        assert told["queues"] == {"downloads": 0, "cleanup": 0}
        assert int(str(told["disk_free"])) > 0
        os.kill(worker.pid, signal.SIGSTOP)
        told = await sick(api, "No worker serves the queue `downloads`.")
        assert (told["error"], told["workers"]) == ("unhealthy", {"downloads": 0, "cleanup": 0})
        os.kill(worker.pid, signal.SIGCONT)
        while (await health_of(api))[0] != HTTPStatus.OK:
            pass
    await sick(api, "No worker serves the queue `downloads`.")


async def test_workers_of_one_host_that_have_no_names_are_all_counted(
    lonely: httpx.AsyncClient, bot_settings: BotSettings, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    mine = {"DATA_DIR": str(tmp_path), "CELERY_BROKER_URL": on_database(bot_settings, 2).broker_url}
    with ExitStack() as stack:
        for queue in ("downloads", "cleanup"):
            words = ["celery", "-A", "tasks", "worker", "-Q", queue, "-c", "1", "-l", "INFO"]
            log = tmp_path / f"{queue}.log"
            stack.enter_context(process(words, {**clean_environment, **mine}, log, lambda said: " ready." in said))
        await soon(lambda: _has_one_of_each(lonely), "both are counted")


async def _has_one_of_each(api: httpx.AsyncClient) -> bool:
    return (await health_of(api))[1]["workers"] == {"downloads": 1, "cleanup": 1}


async def test_without_redis_it_says_so_at_once(
    bot_settings: BotSettings, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    settings = bot_settings.model_copy(update={"data_dir": tmp_path})
    environment = {**clean_environment, "DATA_DIR": str(tmp_path)}
    with process(
        ["bot.local.redis_server"], environment, tmp_path / "redis.log", lambda _: is_live(settings)
    ) as server:
        async with running_bot(settings) as address, httpx.AsyncClient(base_url=address, timeout=20) as api:
            await sick(api, "No worker")
            os.kill(server.pid, signal.SIGSTOP)
            told = await sick(api, "Redis is not reached")
            assert told["redis"] is False
            assert (await api.get("/metrics")).status_code == HTTPStatus.OK
            os.kill(server.pid, signal.SIGCONT)
            await sick(api, "No worker")


async def test_without_its_bucket_it_says_so(
    bot_settings: BotSettings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.vitals.STORAGE_SECONDS", 0.0)
    settings = s3.used_by(on_database(bot_settings, 2), "vitals")
    async with running_bot(settings) as address, httpx.AsyncClient(base_url=address, timeout=20) as api:
        told = await sick(api, "No worker")
        assert "The bucket" not in str(told["message"])
        s3.stop()
        try:
            assert (await sick(api, "The bucket of STORAGE_URL does not answer"))["redis"] is True
        finally:
            s3.start()
        await soon(lambda: _has_its_bucket(api), "the bucket is there again")


async def _has_its_bucket(api: httpx.AsyncClient) -> bool:
    return "The bucket" not in str((await health_of(api))[1]["message"])


async def test_a_bucket_that_says_nothing_is_logged_as_that(
    settings: BotSettings, s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.vitals.QUICK_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = {"aws_endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        storage = open_storage(s3.used_by(settings, "vitals").model_copy(update=there))
        async with open_redis(settings.redis_url) as redis:
            vitals = await Doctor(JobStore(redis), Presence(redis), storage).look()
    assert vitals.problems[0] == NO_BUCKET
    assert "the bucket of STORAGE_URL: it is silent" in caplog.messages


@pytest.mark.usefixtures("worker")
async def test_prometheus_gets_figures_that_add_up(api: httpx.AsyncClient, mina: Person, settings: BotSettings) -> None:
    await mina.sends("/download demo lantern-1 lantern-2")
    await mina.receives_document()
    task_id = await asked(api, "lantern-3")
    await ended(api, task_id)
    await soon(lambda: job_folders(settings) == [task_id], "the chat's job is cleaned up")
    while (await health_of(api))[0] != HTTPStatus.OK:
        pass
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    demo = ("source", "demo")
    assert samples["manhwa_jobs_ended_total", ("code", ""), ("end", "ready"), demo] == 2
    assert samples["manhwa_pages_total", demo] == 18
    assert samples["manhwa_page_bytes_total", demo] > 1_000_000
    assert samples["manhwa_pages_missing_total", demo] == 0
    assert samples["manhwa_jobs", demo, ("state", "ready")] == 1
    assert samples["manhwa_jobs", demo, ("state", "queued")] == 0
    assert samples["manhwa_job_seconds_count", demo] == samples["manhwa_queue_wait_seconds_count", demo] == 2
    assert samples["manhwa_job_seconds_bucket", ("le", "+Inf"), demo] == 2
    assert samples["manhwa_workers", ("queue", "downloads")] == 1
    assert samples["manhwa_source_up", demo] == 1
    assert samples["manhwa_telegram_calls_total", ("method", "SendDocument"), ("result", "ok")] == 1
    assert samples["manhwa_http_seconds_count", ("route", "/api/download"), ("status", "202")] == 1
    assert not re.search(r"manhwa_telegram_calls_total\{.*429", answer.text)
