"""`make run` as an operator lives with it: everything starts, comes back, and goes."""

import asyncio
import fcntl
import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from bot.local.processes import programs, supervisor_config
from bot.local.redis_server import is_live
from bot.settings import BotSettings
from tests.end_to_end.local_run import Run, processes, running, start
from tests.person import Person, soon

MANAGED = {"redis", "telegram", "downloads", "cleanup", "beat", "bot"}


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def a_second_run_is_refused(run: Run, environment: dict[str, str]) -> None:
    family = run.family()
    log = run.log.with_name("second.log")
    assert await asyncio.to_thread(start(run.settings, environment, log).wait, 30) != 0
    assert re.fullmatch(r"[^\n]*another run uses it already\n", log.read_text())
    assert run.family() == family


async def test_everything_starts_comes_back_and_goes(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    async with running(tmp_path, clean_environment) as run:
        await soon(lambda: "talk to it at" in run.said, "the address of the chat page once more")
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(run.chat_page)).status_code == 200
        assert {name for name in MANAGED if run.child(name)} == MANAGED
        await a_second_run_is_refused(run, clean_environment)
        await soon(lambda: "Task tasks.sweep" in run.said, "beat's first sweep")
        await soon(lambda: "Task tasks.look" in run.said, "beat's first look")
        for name in ("redis", "bot", "downloads"):
            await run.comes_back(name, run.kill(name))
        await soon(lambda: is_live(run.settings), "Redis answers")
        await soon(lambda: run.said.count("the bot is up") == 2, "the bot up again")
        async with Person(run.chat_page) as mina:
            await mina.sends("/download demo lantern-1")
            await mina.receives_document()
        family = run.family()
        said = len(run.said)
        assert await run.interrupted() == 0
        farewell = run.said[said:]
        assert farewell.count("told to stop: its jobs go to the next worker") == 2
        assert not re.search(r"(?i)traceback|error|critical|cold shutdown|terminate", farewell)
    await soon(lambda: not family & processes().keys(), "every process gone")
    assert not run.settings.redis_socket.exists()
    assert is_free(run.settings.data_path / "run" / "lock")
    assert is_free(run.settings.data_path / "redis" / "lock")


async def test_a_run_finds_the_jobs_of_the_one_before(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    async with running(tmp_path, clean_environment) as first:
        worker = first.child("downloads")
        assert worker
        os.kill(worker, signal.SIGSTOP)  # so that the job can't be done in time
        async with Person(first.chat_page) as mina:
            await mina.sends("/download demo lantern-2")
            await mina.sees("(?i)queue|position|wait")
        assert await first.interrupted() == 0
    async with running(tmp_path, clean_environment, 2) as second, Person(second.chat_page) as mina:
        await mina.receives_document()
        await mina.sees("Done")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
async def test_a_manager_that_was_killed_leaves_nobody_behind(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    async with running(tmp_path, clean_environment) as first:
        family = first.family()
        first.manager.kill()
        first.manager.wait()
        async with running(tmp_path, clean_environment, 2) as second:
            await soon(lambda: not family & processes().keys(), "the first one's processes gone")
            assert {name for name in MANAGED if second.child(name)} == MANAGED
            await soon(lambda: is_live(second.settings), "Redis answers")


def test_what_is_configured_is_not_started(tmp_path: Path) -> None:
    settings = BotSettings(_env_file=None, data_dir=tmp_path)
    assert {p.name for p in programs(settings, with_redis=False, chat_port=None, api_port=8000)} == MANAGED - {
        "redis",
        "telegram",
    }


@pytest.mark.parametrize("local", [True, False])
def test_the_stand_in_is_the_server_that_the_bot_expects(tmp_path: Path, local: bool) -> None:
    settings = BotSettings(_env_file=None, data_dir=tmp_path, telegram_api_local=local)
    chosen = {p.name: p for p in programs(settings, with_redis=False, chat_port=8081, api_port=8000)}
    assert ("--local" in chosen["telegram"].command) is local


def test_the_manager_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "1:hunter2")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:hunter2@host")
    settings = BotSettings(_env_file=None, data_dir=tmp_path)
    told = supervisor_config(programs(settings, with_redis=False, chat_port=None, api_port=8000), tmp_path, "me")
    assert "hunter2" not in told
