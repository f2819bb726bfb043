"""Processes that are told to stop: what runs goes on elsewhere, in the same message."""

import asyncio
import os
import signal
from contextlib import ExitStack

import pytest

from bot.local.telegram import StandIn
from bot.settings import BotSettings
from tests.conftest import StartWorker, beside, children, process
from tests.end_to_end.shelf import Shelf
from tests.person import Person, soon


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
