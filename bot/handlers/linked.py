"""Addresses of the sources' sites that people copied: sent alone in private, or behind `/search` or `/download`."""

import re
from collections.abc import Sequence

from aiogram import Bot, F, Router
from aiogram.filters import BaseFilter, Command, CommandObject
from aiogram.types import Message

from bot.callers import Caller
from bot.delivery.desk import Desk
from bot.handlers.cards import Cards
from bot.handlers.download import take_command
from bot.handlers.share import Opening
from bot.language import mark, say
from bot.memory.menus import Menus
from bot.memory.preferences import Chosen, Preferences
from bot.memory.shared import Shared
from bot.requests import locate
from bot.settings import BotSettings
from bot.texts import safe, sentence
from tasks.errors import ManhwaError
from tasks.jobs.store import JobStore
from tasks.models import Link, Manga
from tasks.sources.registry import Sources

ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
UNKNOWN_SITE = mark("I know no title or chapter at {address}. /sources lists where I look.")
ONE_SOURCE = mark("Those chapters are of different sources. Send them one by one.")


def router() -> Router:
    routes = Router(name="linked")
    routes.message.register(open_or_download, Command("download"), OnlyAddresses())
    routes.message.register(open_or_download, Command("search"), OnlyAddresses())
    routes.message.register(open_or_download, F.chat.type == "private", F.text, OnlyAddresses())
    return routes


class OnlyAddresses(BaseFilter):
    """What was sent, or stands behind the command, are addresses and nothing else."""

    async def __call__(self, message: Message, command: CommandObject | None = None) -> bool | dict[str, list[str]]:
        words = ((command.args if command else message.text) or "").split()
        return {"addresses": words} if words and all(map(ADDRESS.fullmatch, words)) else False


async def open_or_download(
    message: Message,
    addresses: list[str],
    bot: Bot,
    caller: Caller,
    preferences: Preferences,
    chosen: Chosen,
    shared: Shared,
    sources: Sources,
    menus: Menus,
    store: JobStore,
    desk: Desk,
    settings: BotSettings,
    cards: Cards,
    command: CommandObject | None = None,
) -> None:
    """A title is opened; chapters are shown as picked, or with `/download` fetched at once."""
    links = [sources.linked(address) for address in addresses]
    known = [link for link in links if link]
    if len(known) < len(links):
        await message.reply(say(UNKNOWN_SITE, address=safe(addresses[links.index(None)], 100)))
        return
    opening = Opening(message, bot, caller, preferences, chosen, shared, sources, menus, store, settings, cards)
    first = known[0]
    if first.manga_id:
        await opening.title(Manga(source=first.source, id=first.manga_id, title=first.manga_id))
    elif any(link.source != first.source or not link.chapter_id for link in known):
        await message.reply(say(ONE_SOURCE))
    elif command and command.command == "download":
        await take_command(message, first.source, _ids(known), caller, preferences, sources, desk, settings)
    else:
        await _open_chapters(opening, first.source, _ids(known))


def _ids(links: Sequence[Link]) -> list[str]:
    return [link.chapter_id for link in links if link.chapter_id]


async def _open_chapters(opening: Opening, source: str, ids: Sequence[str]) -> None:
    try:
        located = await locate(source, ids, opening.sources, opening.settings)
    except ManhwaError as error:
        await opening.message.reply(safe(sentence(error.code, error.detail), 500))
    else:
        await opening.chapters(located)
