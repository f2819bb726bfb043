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
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramNetworkError,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.access import Access
from bot.callers import Acquaint
from bot.commands import register_commands
from bot.delivery.addresses import Addresses
from bot.delivery.board import Boards
from bot.delivery.bringing import Bringing
from bot.delivery.copies import Copies
from bot.delivery.courier import Courier
from bot.delivery.desk import Canceller, Desk
from bot.delivery.follower import Follower
from bot.delivery.herald import Herald
from bot.delivery.line import Line
from bot.delivery.links import Links
from bot.delivery.packing import Packing
from bot.delivery.pickup import Pickup
from bot.delivery.turns import Turns
from bot.delivery.watch import WatchTools
from bot.editing import Editor
from bot.handlers import routers
from bot.handlers.cards import Cards
from bot.intake import Intake
from bot.memory.bans import Bans
from bot.memory.boards import BoardMemory
from bot.memory.edits import Edits
from bot.memory.fetches import Fetches
from bot.memory.follows import Follows
from bot.memory.found import Found
from bot.memory.history import History
from bot.memory.menus import Menus
from bot.memory.parcels import Parcels
from bot.memory.preferences import Chosen
from bot.memory.processes import Processes
from bot.memory.quiet_hours import QuietHours
from bot.memory.shared import Shared
from bot.memory.updates import Updates
from bot.memory.uploads import Uploads
from bot.memory.watchers import Watchers
from bot.meters import Meters
from bot.middlewares import AnswerPresses, GiveUp, OnlyOnce, OnlyOwnChats, Polite, RightToLeft, WriteDown
from bot.pacing import Pacing
from bot.process_lease import ProcessLease
from bot.session import Session
from bot.settings import BotSettings
from bot.vitals import Doctor
from bot.web import webhook
from bot.web.door import Door
from bot.web.files import MOST_FETCHES
from bot.web.routes import Rooms
from bot.web.server import bound, open_web
from tasks.dispatch import open_dispatch
from tasks.jobs.presence import Presence
from tasks.jobs.store import JobStore
from tasks.resources import open_redis
from tasks.settings import SettingsError
from tasks.sources.registry import open_sources
from tasks.storage import open_storage
from tasks.supervisor import Supervisor
from tasks.titles.store import TitleStore

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""Between two tries to reach Redis or Telegram at the start."""
WEBHOOK_CONNECTIONS = 40
"""At most so many updates are brought at a time."""
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
        log.info("told to stop; a second signal ends it at once")
        stop.set()
        late = threading.Timer(STOP_SECONDS, os._exit, [1])
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    up = asyncio.Event()
    serving = asyncio.create_task(_serve_until(stop, settings, up))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not up.is_set():
        serving.cancel()  # it may wait for Redis or Telegram
    with suppress(asyncio.CancelledError):
        await serving


async def _serve_until(stop: asyncio.Event, settings: BotSettings, up: asyncio.Event) -> None:
    async with open_app(settings):
        up.set()
        log.info("the bot is up")
        await stop.wait()


@asynccontextmanager
async def open_app(settings: BotSettings) -> AsyncIterator[str]:
    """The bot, taking updates while the block lasts; the address of its web API.

    Raises `WrongToken`, and `SettingsError` where that address is taken or Telegram refuses the webhook.
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
        pacing, updates, lease = Pacing(redis), Updates(redis), ProcessLease(Processes(redis))
        bot.session.middleware(WriteDown(updates, lease))
        bot.session.middleware(RightToLeft())
        bot.session.middleware(Polite(pacing))
        bot.session.middleware(OnlyOwnChats(lease))
        meters = Meters()
        bot.session.middleware(meters)  # the innermost: each try counts
        await _wait_for_telegram(bot, settings)
        store, watchers, bans = JobStore(redis), Watchers(redis), Bans(redis)
        shared, history, chosen = Shared(redis), History(redis), Chosen(redis)
        async with open_sources(settings, redis) as sources, open_dispatch(settings, store) as dispatch:
            fetches, storage = Fetches(redis), open_storage(settings)
            links = Links(bot, watchers, fetches, settings)
            turns = Turns(shared, Uploads(redis))
            courier = Courier(bot, watchers, shared, storage, links, turns, pacing, settings.telegram_api_local)
            try:
                async with lease.held() as background, asyncio.TaskGroup() as group:
                    background.start(register_commands(bot, settings.admins))
                    background.start(storage.wait())
                    boards = Boards(bot, BoardMemory(redis), store, watchers, pacing, lease)
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
                        Addresses(Follows(redis), Parcels(redis), QuietHours(redis)),
                        has_others=len(sources.all()) > 1,
                    )
                    follower = Follower(tools, store, Parcels(redis), lease, background)
                    canceller = Canceller(watchers, dispatch)
                    pickup = Pickup(dispatch, store, watchers, fetches, canceller)
                    found, only_once = Found(redis), OnlyOnce(updates, lease)
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
                        editor=Editor(bot, pacing, Edits(redis), background),
                        desk=Desk(dispatch, watchers, Copies(bot, shared, history)),
                        cards=Cards(bot, shared, Follows(redis), settings),
                        follows=Follows(redis),
                        parcels=Parcels(redis),
                        addresses=tools.addresses,
                        quiet_hours=QuietHours(redis),
                        titles=TitleStore(redis),
                        history=history,
                        canceller=canceller,
                    )
                    # Before the follower: a request that is handled anew has to meet its job as it was.
                    intake = Intake(dispatcher, bot, updates, only_once, lease)
                    await intake.handle_left()
                    group.create_task(intake.keep_handling_left())
                    group.create_task(follower.run())
                    group.create_task(_herald(redis, tools, settings, lease).run())
                    group.create_task(pickup.run())
                    group.create_task(Supervisor(store, dispatch).run())
                    if not settings.webhook_url:
                        group.create_task(_poll(dispatcher, bot))
                    rooms = Rooms(
                        settings,
                        Door(settings, quick),
                        sources,
                        found,
                        store,
                        TitleStore(redis),
                        pickup,
                        fetches,
                        storage,
                        Doctor(JobStore(quick), Presence(quick), storage),
                        meters,
                        asyncio.Semaphore(MOST_FETCHES),
                    )
                    # All that is there now stays: looking through it for what may go takes a quarter of a second each time.
                    gc.freeze()
                    webhooks = [webhook.route(settings, bot, intake.take)] if settings.webhook_url else []
                    async with open_web(rooms, taken, webhooks) as address:
                        refused = await _set_webhook(bot, settings, dispatcher)
                        if not refused:
                            yield address
                    await _stop_taking(dispatcher, intake)
                    group.create_task(_end_group())
            except* _Stopped:
                log.info("the bot stops")
        if refused:
            raise SettingsError(f"WEBHOOK_URL is {settings.webhook_url!r}: Telegram says: {refused}")


def _herald(redis: Redis, tools: WatchTools, settings: BotSettings, lease: ProcessLease) -> Herald:
    follows, parcels = Follows(redis), Parcels(redis)
    packing = Packing(TitleStore(redis), follows, QuietHours(redis), Chosen(redis), settings)
    bringing = Bringing(tools, packing, parcels, follows, Shared(redis))
    return Herald(packing, bringing, parcels, lease, tools.pacing)


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
    asked = dispatcher.message, dispatcher.channel_post, dispatcher.callback_query, dispatcher.inline_query
    for kind in asked:
        kind.outer_middleware(acquaint)
        kind.outer_middleware(access)
    # Behind those, as it tells only whom they let through.
    for kind in (*asked, dispatcher.my_chat_member):
        kind.outer_middleware(GiveUp())
    dispatcher.callback_query.outer_middleware(AnswerPresses())
    dispatcher.include_routers(*routers())
    return dispatcher


async def _poll(dispatcher: Dispatcher, bot: Bot) -> None:
    await dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False)


async def _end_group() -> None:
    raise _Stopped


async def _set_webhook(bot: Bot, settings: BotSettings, dispatcher: Dispatcher) -> str:
    """Let Telegram bring updates here, if it is to; why it will not, empty = it does."""
    while settings.webhook_url:
        try:
            await bot.set_webhook(
                settings.webhook_url,
                secret_token=settings.webhook_secret.get_secret_value(),
                allowed_updates=dispatcher.resolve_used_update_types(),
                max_connections=WEBHOOK_CONNECTIONS,
            )
        except TelegramBadRequest as error:
            return error.message
        except TelegramAPIError as error:
            log.warning("waiting for Telegram: %s", error.message)
            await asyncio.sleep(PATIENCE_SECONDS)
        else:
            break
    return ""


async def _stop_taking(dispatcher: Dispatcher, intake: Intake) -> None:
    with suppress(RuntimeError):  # not polling yet
        await dispatcher.stop_polling()
    # aiogram starts a task for each update and offers no way to wait for them but this set.
    handling = dispatcher._handle_update_tasks | intake.handling  # noqa: SLF001
    if not handling:
        return
    _, late = await asyncio.wait(handling, timeout=LAST_WORDS_SECONDS)
    if late:
        # They end here: others begin with what these did not end as soon as the lease is gone.
        for task in late:
            task.cancel()
        await asyncio.wait(late)


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


async def _wait_for_telegram(bot: Bot, settings: BotSettings) -> None:
    while True:
        try:
            me = await bot.me()
            if not settings.webhook_url:
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
