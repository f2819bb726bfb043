"""The wiring: everything the bot consists of is made and joined here, and lives for one `run`."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.default import DefaultBotProperties
from aiogram.client.telegram import TelegramAPIServer
from aiogram.enums import ParseMode
from aiogram.exceptions import TelegramAPIError, TelegramNetworkError, TelegramServerError, TelegramUnauthorizedError
from redis.exceptions import RedisError

from bot.access import Access
from bot.background import Background
from bot.callers import Acquaint
from bot.commands import register_commands
from bot.delivery.board import Boards
from bot.delivery.copies import Copies
from bot.delivery.courier import Courier
from bot.delivery.desk import Canceller, Desk
from bot.delivery.follower import Follower
from bot.delivery.line import Line
from bot.delivery.links import Links
from bot.delivery.pickup import Pickup
from bot.delivery.watch import WatchTools
from bot.editing import Editor
from bot.handlers import routers
from bot.memory.bans import Bans
from bot.memory.boards import BoardMemory
from bot.memory.fetches import Fetches
from bot.memory.found import Found
from bot.memory.history import History
from bot.memory.menus import Menus
from bot.memory.preferences import Chosen
from bot.memory.shared import Shared
from bot.memory.updates import Updates
from bot.memory.watchers import Watchers
from bot.meters import Meters
from bot.middlewares import AnswerPresses, OnlyOnce, Polite, RightToLeft, WriteDown
from bot.pacing import Pacing
from bot.session import Session
from bot.settings import BotSettings
from bot.vitals import Doctor
from bot.web.door import Door
from bot.web.files import MOST_FETCHES
from bot.web.routes import Rooms
from bot.web.server import bound, open_web
from tasks.dispatch import open_dispatch
from tasks.jobs.presence import Presence
from tasks.jobs.store import JobStore
from tasks.resources import open_redis
from tasks.sources.registry import open_sources
from tasks.storage import open_storage
from tasks.supervisor import Supervisor

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""Between two tries to reach Redis or Telegram at the start."""
LEFT_SECONDS = 60.0
"""How often updates are looked for that came in and were left, because Redis was away for too long."""
LAST_WORDS_SECONDS = 3.0
"""Handlers that run when the bot is told to stop have so long to end."""
STOP_SECONDS = 15.0
"""A bot that is not gone by then, say because Redis is away, leaves the rest to the next one, as if it had been killed."""


class WrongToken(Exception):
    """Telegram does not know the token: waiting will not help."""


class _Stopped(Exception):
    """Ends a task group with everything in it."""


async def run(settings: BotSettings) -> None:
    """Run the bot until SIGTERM or SIGINT; a second one ends the process at once. Raises `WrongToken`."""
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()
        late = threading.Timer(STOP_SECONDS, os._exit, [1])
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    starting = asyncio.create_task(_serve_until(stop, settings))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


async def _serve_until(stop: asyncio.Event, settings: BotSettings) -> None:
    async with open_app(settings):
        log.info("the bot is up")
        await stop.wait()


@asynccontextmanager
async def open_app(settings: BotSettings) -> AsyncIterator[str]:
    """The bot, polling for updates while the block lasts; the address of its web API.

    Raises `WrongToken`, and `SettingsError` where that address is taken.
    """
    with bound(settings) as taken:
        await _wait_for_redis(settings)
        async with _open(settings, taken) as address:
            yield address


@asynccontextmanager
async def _open(settings: BotSettings, taken: socket.socket) -> AsyncIterator[str]:
    async with (
        open_redis(settings.redis_url) as redis,
        open_redis(settings.redis_url, retries=0) as quick,
        open_bot(settings) as bot,
    ):
        pacing = Pacing(redis)
        updates = Updates(redis)
        bot.session.middleware(WriteDown(updates))
        bot.session.middleware(RightToLeft())
        bot.session.middleware(Polite(pacing))
        meters = Meters()
        bot.session.middleware(meters)  # the innermost: each try counts
        await _wait_for_telegram(bot)
        store, watchers, bans = JobStore(redis), Watchers(redis), Bans(redis)
        shared, history, chosen = Shared(redis), History(redis), Chosen(redis)
        async with open_sources(settings, redis) as sources, open_dispatch(settings, store) as dispatch:
            fetches, storage = Fetches(redis), open_storage(settings)
            links = Links(bot, watchers, fetches, settings)
            courier = Courier(bot, watchers, shared, storage, links, settings.telegram_api_local)
            try:
                async with Background() as background, asyncio.TaskGroup() as group:
                    background.start(register_commands(bot, settings.admins))
                    background.start(storage.wait())
                    boards = Boards(bot, BoardMemory(redis), store, watchers, pacing, background)
                    tools = WatchTools(
                        bot,
                        store,
                        watchers,
                        dispatch,
                        pacing,
                        courier,
                        history,
                        boards,
                        Line(store),
                        has_others=len(sources.all()) > 1,
                    )
                    follower = Follower(tools, store, background)
                    canceller = Canceller(watchers, dispatch, follower)
                    pickup = Pickup(dispatch, store, watchers, fetches, canceller)
                    found = Found(redis)
                    only_once = OnlyOnce(updates)
                    dispatcher = _dispatcher(
                        only_once,
                        Acquaint(chosen),
                        Access(settings, bans, pacing),
                        chosen=chosen,
                        bans=bans,
                        shared=shared,
                        found=found,
                        settings=settings,
                        sources=sources,
                        store=store,
                        watchers=watchers,
                        menus=Menus(redis),
                        editor=Editor(bot, pacing, background),
                        desk=Desk(dispatch, watchers, Copies(bot, shared, history), follower),
                        history=history,
                        canceller=canceller,
                    )
                    # Before the follower: a request that is handled anew has to meet its job as it was.
                    await _handle_left(dispatcher, bot, updates, only_once)
                    group.create_task(_handle_left_now_and_then(dispatcher, bot, updates, only_once))
                    group.create_task(follower.run())
                    group.create_task(pickup.run())
                    group.create_task(Supervisor(store, dispatch).run())
                    group.create_task(_poll(dispatcher, bot))
                    rooms = Rooms(
                        settings,
                        Door(settings, quick),
                        sources,
                        found,
                        store,
                        pickup,
                        fetches,
                        storage,
                        Doctor(JobStore(quick), Presence(quick)),
                        meters,
                        asyncio.Semaphore(MOST_FETCHES),
                    )
                    # All that is there now stays: looking through it for what may go takes a quarter of a second each time.
                    gc.freeze()
                    async with open_web(rooms, taken) as address:
                        yield address
                    await _stop_polling(dispatcher)
                    group.create_task(_end_group())
            except* _Stopped:
                log.info("the bot stops")


@asynccontextmanager
async def open_bot(settings: BotSettings) -> AsyncIterator[Bot]:
    """A Bot API client for the configured server."""
    server = TelegramAPIServer.from_base(settings.telegram_api_url, is_local=settings.telegram_api_local)
    bot = Bot(
        settings.telegram_bot_token.get_secret_value(),
        Session(api=server),
        DefaultBotProperties(parse_mode=ParseMode.HTML, allow_sending_without_reply=True),
    )
    try:
        yield bot
    finally:
        await bot.session.close()


def _dispatcher(only_once: OnlyOnce, acquaint: Acquaint, access: Access, **rooms: Any) -> Dispatcher:
    dispatcher = Dispatcher(**rooms)
    dispatcher.update.outer_middleware(only_once)
    for kind in (dispatcher.message, dispatcher.channel_post, dispatcher.callback_query, dispatcher.inline_query):
        kind.outer_middleware(acquaint)
        kind.outer_middleware(access)
    dispatcher.callback_query.outer_middleware(AnswerPresses())
    dispatcher.include_routers(*routers())
    return dispatcher


async def _poll(dispatcher: Dispatcher, bot: Bot) -> None:
    await dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False)


async def _handle_left(dispatcher: Dispatcher, bot: Bot, updates: Updates, only_once: OnlyOnce) -> None:
    """Handle what came in and was left."""
    left = await updates.begin_anew(only_once.in_hand)
    if left:
        log.info("%s updates were left in hand", len(left))
    ends = await asyncio.gather(*(dispatcher.feed_update(bot, update) for update in left), return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            log.error("an update that was left in hand failed", exc_info=error)


async def _handle_left_now_and_then(dispatcher: Dispatcher, bot: Bot, updates: Updates, only_once: OnlyOnce) -> None:
    while True:
        await asyncio.sleep(LEFT_SECONDS)
        with suppress(RedisError):
            await _handle_left(dispatcher, bot, updates, only_once)


async def _end_group() -> None:
    raise _Stopped


async def _stop_polling(dispatcher: Dispatcher) -> None:
    with suppress(RuntimeError):  # not polling yet
        await dispatcher.stop_polling()
    # aiogram starts a task for each update and offers no way to wait for them but this set.
    handling = dispatcher._handle_update_tasks  # noqa: SLF001
    if handling:
        await asyncio.wait(handling, timeout=LAST_WORDS_SECONDS)


async def _wait_for_redis(settings: BotSettings) -> None:
    # Without the retries of the usual client, which would not say for half a minute what it waits for.
    async with open_redis(settings.redis_url, retries=0) as redis:
        while True:
            try:
                await redis.ping()
            except RedisError as error:
                log.warning("waiting for Redis: %s", error)
                await asyncio.sleep(PATIENCE_SECONDS)
            else:
                return


async def _wait_for_telegram(bot: Bot) -> None:
    while True:
        try:
            me = await bot.me()
            # Polling is refused while a webhook of an earlier life is set.
            await bot.delete_webhook()
        except TelegramUnauthorizedError:
            raise WrongToken from None
        except (TelegramNetworkError, TelegramServerError) as error:
            log.warning("waiting for Telegram: %s", error.message)
            await asyncio.sleep(PATIENCE_SECONDS)
        except TelegramAPIError as error:
            log.warning("Telegram refused part of the set-up: %s", error.message)
            return
        else:
            log.info("this is @%s", me.username)
            return
