"""`/ban`, `/unban` and `/stats` for admins; `/forget` for everybody."""

import asyncio
import re

from aiogram import Router
from aiogram.filters import BaseFilter, Command, CommandObject
from aiogram.types import Message

from bot.callers import Caller
from bot.delivery.desk import Canceller
from bot.handlers.sources import source_lines
from bot.language import mark, say
from bot.memory.bans import Bans
from bot.memory.follows import Follows
from bot.memory.history import History
from bot.memory.menus import Menus
from bot.memory.parcels import Parcels
from bot.memory.preferences import Chosen
from bot.memory.quiet_hours import QuietHours
from bot.memory.watchers import Watchers
from bot.settings import BotSettings
from bot.texts import megabytes, safe
from tasks.jobs.store import JobStore
from tasks.sources.registry import Sources
from tasks.workspace import Workspace

USER_ID = re.compile(r"[0-9]{1,19}")
WHOM = mark("Whom? Send the command with a person's id, or as an answer to something they said.")
NOT_AN_ADMIN = mark("An admin can't be banned.")
BANNED = mark("{user} can't use me any more; what they had running was cancelled.")
LIFTED = mark("{user} can use me again.")
WAS_NOT = mark("{user} was not banned.")
FORGOTTEN = mark(
    "Your downloads are cancelled, your menus and settings are gone, "
    "and in a minute nothing about you is stored here any more."
)


def router() -> Router:
    routes = Router(name="admin")
    routes.message.register(ban, Command("ban"), IsAdmin())
    routes.message.register(unban, Command("unban"), IsAdmin())
    routes.message.register(stats, Command("stats"), IsAdmin())
    routes.message.register(forget, Command("forget"))
    return routes


class IsAdmin(BaseFilter):
    """Sent by one of ADMINS; to everybody else the command does not exist."""

    async def __call__(self, _: Message, caller: Caller, settings: BotSettings) -> bool:
        return caller.id in settings.admins


async def ban(
    message: Message,
    command: CommandObject,
    bans: Bans,
    settings: BotSettings,
    watchers: Watchers,
    canceller: Canceller,
    follows: Follows,
) -> None:
    user_id = _whom(message, command)
    if user_id is None:
        await message.reply(say(WHOM))
    elif user_id in settings.admins:
        await message.reply(say(NOT_AN_ADMIN))
    else:
        await bans.ban(user_id)
        await follows.forget(user_id)
        await _leave_all(Caller(user_id, say("an admin")), watchers, canceller)
        await message.reply(say(BANNED, user=user_id))


async def unban(message: Message, command: CommandObject, bans: Bans) -> None:
    user_id = _whom(message, command)
    if user_id is None:
        await message.reply(say(WHOM))
    else:
        await message.reply(say(LIFTED if await bans.lift(user_id) else WAS_NOT, user=user_id))


def _whom(message: Message, command: CommandObject) -> int | None:
    if command.args:
        return int(command.args) if USER_ID.fullmatch(command.args) else None
    replied = message.reply_to_message
    return replied.from_user.id if replied and replied.from_user and not replied.from_user.is_bot else None


async def _leave_all(caller: Caller, watchers: Watchers, canceller: Canceller) -> None:
    for watcher in await watchers.of_user(caller.id):
        await canceller.leave(watcher, caller)


async def stats(message: Message, store: JobStore, sources: Sources, settings: BotSettings) -> None:
    figures = await store.figures()
    free = await asyncio.to_thread(Workspace(settings).free_bytes)
    ends = {end: number for end, number in figures.ends.items() if number}
    failed = {end.partition(":")[2]: number for end, number in ends.items() if end.startswith("failed:")}
    ready, cancelled = ends.get("ready", 0), ends.get("cancelled", 0)
    lines = [
        f"<b>{say('Jobs')}</b>",
        say("queued {queued}, at work {working}", queued=figures.queued, working=figures.at_work),
        say(
            "ready {ready}, cancelled {cancelled}, failed {failed}",
            ready=ready,
            cancelled=cancelled,
            failed=sum(failed.values()),
        ),
        *(f"• {safe(code)}: {number}" for code, number in failed.items()),
        f"<b>{say('Sources')}</b>",
        *await source_lines(sources),
        f"<b>{say('Disk')}</b>",
        say("{size} free", size=megabytes(free)),
    ]
    await message.reply("\n".join(lines))


async def forget(
    message: Message,
    caller: Caller,
    watchers: Watchers,
    canceller: Canceller,
    menus: Menus,
    history: History,
    chosen: Chosen,
    follows: Follows,
    quiet_hours: QuietHours,
    parcels: Parcels,
    store: JobStore,
) -> None:
    await follows.forget_person(caller.id)
    await parcels.forget(caller.id)
    await quiet_hours.choose(caller.id, None)
    await _leave_all(caller, watchers, canceller)
    await menus.forget(caller.id)
    await history.forget(caller.id)
    await chosen.forget(caller.id)
    await store.forget(f"telegram:{caller.id}")
    await message.reply(say(FORGOTTEN))
