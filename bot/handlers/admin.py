"""`/ban`, `/unban` and `/stats` for admins; `/forget` for everybody."""

import asyncio
import re

from aiogram import Router
from aiogram.filters import BaseFilter, Command, CommandObject
from aiogram.types import Message

from bot.delivery.desk import Canceller
from bot.handlers.sources import source_line
from bot.memory.bans import Bans
from bot.memory.history import History
from bot.memory.menus import Menus
from bot.memory.watchers import Watchers
from bot.settings import BotSettings
from bot.texts import megabytes, safe
from tasks.jobs.store import JobStore
from tasks.sources.registry import Sources
from tasks.workspace import Workspace

USER_ID = re.compile(r"[0-9]{1,19}")
WHOM = "Whom? Send the command with a person's id, or as an answer to something they said."
NOT_AN_ADMIN = "An admin can't be banned."
BANNED = "{user} can't use me any more; what they had running was cancelled."
LIFTED = "{user} can use me again."
WAS_NOT = "{user} was not banned."
FORGOTTEN = (
    "Your downloads are cancelled, your menus are gone, and in a minute nothing about you is stored here any more."
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

    async def __call__(self, message: Message, settings: BotSettings) -> bool:
        return message.from_user is not None and message.from_user.id in settings.admins


async def ban(
    message: Message,
    command: CommandObject,
    bans: Bans,
    settings: BotSettings,
    watchers: Watchers,
    canceller: Canceller,
) -> None:
    user_id = _whom(message, command)
    if user_id is None:
        await message.reply(WHOM)
    elif user_id in settings.admins:
        await message.reply(NOT_AN_ADMIN)
    else:
        await bans.ban(user_id)
        await _cancel_all(user_id, watchers, canceller, "an admin")
        await message.reply(BANNED.format(user=user_id))


async def unban(message: Message, command: CommandObject, bans: Bans) -> None:
    user_id = _whom(message, command)
    if user_id is None:
        await message.reply(WHOM)
    else:
        await message.reply((LIFTED if await bans.lift(user_id) else WAS_NOT).format(user=user_id))


def _whom(message: Message, command: CommandObject) -> int | None:
    if command.args:
        return int(command.args) if USER_ID.fullmatch(command.args) else None
    replied = message.reply_to_message
    return replied.from_user.id if replied and replied.from_user and not replied.from_user.is_bot else None


async def _cancel_all(user_id: int, watchers: Watchers, canceller: Canceller, by: str) -> None:
    for watcher in await watchers.of_user(user_id):
        await canceller.cancel(watcher, by)


async def stats(message: Message, store: JobStore, sources: Sources, settings: BotSettings) -> None:
    figures = await store.figures()
    free = await asyncio.to_thread(Workspace(settings).free_bytes)
    ends = {end: number for end, number in figures.ends.items() if number}
    failed = {end.partition(":")[2]: number for end, number in ends.items() if end.startswith("failed:")}
    lines = [
        "<b>Jobs</b>",
        f"queued {figures.queued}, at work {figures.at_work}",
        f"ready {ends.get('ready', 0)}, cancelled {ends.get('cancelled', 0)}, failed {sum(failed.values())}",
        *(f"• {safe(code)}: {number}" for code, number in failed.items()),
        "<b>Sources</b>",
        *await asyncio.gather(*(source_line(source) for source in sources.all())),
        "<b>Disk</b>",
        f"{megabytes(free)} free",
    ]
    await message.reply("\n".join(lines))


async def forget(
    message: Message, watchers: Watchers, canceller: Canceller, menus: Menus, history: History, store: JobStore
) -> None:
    user = message.from_user
    if user is None:
        return
    await _cancel_all(user.id, watchers, canceller, user.full_name)
    await menus.forget(user.id)
    await history.forget(user.id)
    await store.forget(f"telegram:{user.id}")
    await message.reply(FORGOTTEN)
