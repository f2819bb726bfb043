"""Processes that are told to stop: what runs goes on elsewhere, in the same message."""

import asyncio
import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bot.local.telegram import StandIn
from bot.settings import BotSettings
from tests.conftest import StartWorker, beside, children, process, running_bot
from tests.end_to_end.shelf import SEARCH, Shelf
from tests.person import Person, soon
from tests.web_server import Reply, as_json

FOUND = as_json({"results": [{"id": "7/harbour-lights", "title": "Harbour Lights"}]})


@pytest.mark.usefixtures("consumet_bot")
async def test_a_worker_that_is_told_to_stop_hands_its_job_over(
    mina: Person, shelf: Shelf, start_worker: StartWorker, consumet: dict[str, str]
) -> None:
    let_go = shelf.holds_back(3, 1)
    with ExitStack() as stack:
        first = stack.enter_context(start_worker("first", **consumet))
        sent = await mina.sends(shelf.command(1, 2, 3))
        status = await mina.sees("pages 5/6", after=sent)
        stack.enter_context(start_worker("second", **consumet))
        first.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, 20) == 0
        let_go.set()
        await mina.receives_document()
        done = await mina.sees("Done", after=sent)
    assert done["message_id"] == status["message_id"]
    assert shelf.server.count("/1-1.jpg") == 1


@pytest.mark.usefixtures("consumet_bot")
async def test_a_second_signal_ends_a_worker_that_hangs_and_the_job_goes_on(
    mina: Person, shelf: Shelf, start_worker: StartWorker, consumet: dict[str, str]
) -> None:
    let_go = shelf.holds_back(2, 1)
    with ExitStack() as stack:
        first = stack.enter_context(start_worker("hangs", **consumet))
        await mina.sends(shelf.command(1, 2))
        await mina.sees("pages 3/4")
        processes = children(first.pid)
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        first.send_signal(signal.SIGTERM)
        first.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, 20) == 1
        await soon(lambda: not any(map(_is_alive, processes)), "its processes gone")
        stack.enter_context(start_worker("goes-on", **consumet))
        let_go.set()
        await mina.receives_document()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.usefixtures("worker")
async def test_a_bot_that_waits_for_telegram_ends_at_the_second_signal(
    mina: Person, telegram: StandIn, bot_settings: BotSettings, clean_environment: dict[str, str]
) -> None:
    environment = {
        **clean_environment,
        "DATA_DIR": str(bot_settings.data_dir),
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_URL": telegram.url,
    }
    await mina.orders_fault(method="sendDocument", delay=8, do_it=True, answer=True)
    log = bot_settings.data_path / "bot-that-waits.log"
    async with beside(process(["bot"], environment, log, lambda said: "the bot is up" in said)) as bot:
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        bot.send_signal(signal.SIGTERM)
        # Two signals at once may be one.
        await soon(lambda: "told to stop" in log.read_text(), "the bot heard the first")
        bot.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(bot.wait, 20) == 1


async def test_what_a_bot_that_stops_can_not_end_the_next_one_begins(
    mina: Person, shelf: Shelf, consumet_settings: BotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.LAST_WORDS_SECONDS", 0.1)
    let_go = threading.Event()
    shelf.server.on(SEARCH, Reply(wait_for=let_go), FOUND)
    async with running_bot(consumet_settings):
        await mina.sends("/search harbour")
        await soon(lambda: shelf.server.count(SEARCH), "the search")
        handled = {task for task in asyncio.all_tasks() if "_process_update" in repr(task)}
        assert handled
    assert all(task.cancelled() for task in handled)
    async with running_bot(consumet_settings):
        await mina.sees_button("Harbour Lights")
    let_go.set()


async def test_a_bot_that_is_told_to_stop_ends_what_it_has_begun(
    mina: Person,
    shelf: Shelf,
    consumet_settings: BotSettings,
    consumet: dict[str, str],
    clean_environment: dict[str, str],
) -> None:
    environment = {
        **clean_environment,
        **consumet,
        "DATA_DIR": str(consumet_settings.data_dir),
        "TELEGRAM_BOT_TOKEN": consumet_settings.telegram_bot_token.get_secret_value(),
        "TELEGRAM_API_URL": consumet_settings.telegram_api_url,
    }
    let_go = threading.Event()
    shelf.server.on(SEARCH, replace(FOUND, wait_for=let_go))
    log = consumet_settings.data_path / "bot-that-searches.log"
    async with beside(process(["bot"], environment, log, lambda said: "the bot is up" in said)) as bot:
        await mina.sends("/search harbour")
        await soon(lambda: shelf.server.count(SEARCH), "the search")
        bot.send_signal(signal.SIGTERM)
        await soon(lambda: "told to stop" in log.read_text(), "the bot heard it")
        let_go.set()
        await mina.sees_button("Harbour Lights")
        assert await asyncio.to_thread(bot.wait, 20) == 0
