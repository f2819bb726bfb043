"""`/search` and plain text in a private chat: results as buttons, and paging through them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, LinkPreviewOptions, Message

from bot import keyboards
from bot.callbacks import ShowResults
from bot.editing import Editor, Screen
from bot.handlers.menu_access import open_menu, spot_of
from bot.memory.found import Found
from bot.memory.menus import Menus, Results
from bot.texts import count, safe
from tasks.errors import SourceError
from tasks.models import Manga
from tasks.sources.registry import Sources
from tasks.sources.source import Source

USAGE = "Send /search and a title, such as <code>/search lighthouse</code>."
TOO_LONG = "That is too long for a title. Send at most {limit} characters."
SEARCHING = "🔎 Searching for “{query}” …"
NOTHING = "Nothing found for “{query}”. Try fewer words or another spelling."
ALL_SILENT = "No source answered, so I can't tell whether “{query}” exists. Try again later. Not reached: {silent}"
FOUND = "🔎 “{query}”: {found}"
SILENT = "\n⚠ Not reached: {silent}"
ASKED = "\n⏳ Still asking: {asked}"

QUERY_LENGTH = 200
SEARCH_SECONDS = 40.0
"""A source that takes longer counts as silent."""


def router() -> Router:
    routes = Router(name="search")
    routes.message.register(search_command, Command("search"))
    routes.message.register(search_text, F.chat.type == "private", F.text, ~F.text.startswith("/"))
    routes.message.register(unknown_command, F.chat.type == "private", F.text)
    routes.callback_query.register(show_results, ShowResults.filter())
    return routes


async def search_command(
    message: Message, command: CommandObject, sources: Sources, found: Found, menus: Menus, editor: Editor
) -> None:
    await _search(message, command.args or "", Search(sources.all(), found), menus, editor)


async def search_text(message: Message, sources: Sources, found: Found, menus: Menus, editor: Editor) -> None:
    await _search(message, message.text or "", Search(sources.all(), found), menus, editor)


async def unknown_command(message: Message) -> None:
    await message.reply("I don't know that command. /help lists what I can do.")


async def show_results(query: CallbackQuery, callback_data: ShowResults, menus: Menus, editor: Editor) -> None:
    menu = await open_menu(menus, callback_data.menu, Results, query)
    editor.show_once(spot_of(query), results_screen(menu, callback_data.page))


class Search:
    """Asks sources, or remembers what they said a moment ago."""

    def __init__(self, sources: list[Source], found: Found) -> None:
        self.sources = sources
        self._found = found

    async def answers(self, query: str) -> AsyncGenerator[tuple[Source, tuple[Manga, ...] | None]]:
        """Each source with what it found, as they answer; None = it gave no answer."""
        asking = [asyncio.create_task(self._ask(source, query)) for source in self.sources]
        try:
            for answered in asyncio.as_completed(asking):
                yield await answered
        finally:
            for one in asking:
                one.cancel()

    async def all(self, query: str) -> list[Manga]:
        """What all sources together find."""
        async with aclosing(self.answers(query)) as answers:
            return [manga async for _, mangas in answers for manga in mangas or ()]

    async def _ask(self, source: Source, query: str) -> tuple[Source, tuple[Manga, ...] | None]:
        if (known := await self._found.get(source.name, query)) is not None:
            return source, known
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                mangas = (await source.search(query)).mangas
        except (SourceError, TimeoutError):
            return source, None
        await self._found.keep(source.name, query, mangas)
        return source, mangas


async def _search(message: Message, text: str, search: Search, menus: Menus, editor: Editor) -> None:
    query = " ".join(text.split())
    if not query or message.from_user is None:
        await message.reply(USAGE)
        return
    if len(query) > QUERY_LENGTH:
        await message.reply(TOO_LONG.format(limit=QUERY_LENGTH))
        return
    sent = await message.reply(
        SEARCHING.format(query=safe(query)), link_preview_options=LinkPreviewOptions(is_disabled=True)
    )
    asked = tuple(source.name for source in search.sources)
    menu = Results(id=menus.new_id(), owner=message.from_user.id, query=query, mangas=(), asked=asked)
    async with aclosing(search.answers(query)) as answers:
        async for source, mangas in answers:
            menu = _with_answer(menu, source.name, mangas)
            await menus.save(menu)
            editor.show_once((sent.chat.id, sent.message_id), results_screen(menu, 0))


def _with_answer(menu: Results, source: str, mangas: tuple[Manga, ...] | None) -> Results:
    """What comes later goes to the end: buttons that are shown already keep their meaning."""
    return menu.model_copy(
        update={
            "mangas": (*menu.mangas, *(mangas or ())),
            "silent": menu.silent if mangas is not None else (*menu.silent, source),
            "asked": tuple(name for name in menu.asked if name != source),
        }
    )


def results_screen(menu: Results, page: int) -> Screen:
    """The results on that page, or which of the two reasons there are for having none."""
    query, silent = safe(menu.query, 100), safe(", ".join(menu.silent))
    asked = ASKED.format(asked=safe(", ".join(menu.asked))) if menu.asked else ""
    if not menu.mangas and menu.asked:
        return Screen(SEARCHING.format(query=query) + asked)
    if not menu.mangas:
        return Screen((ALL_SILENT if menu.silent else NOTHING).format(query=query, silent=silent))
    text = FOUND.format(query=query, found=count(len(menu.mangas), "title", "titles")) + asked
    if menu.silent:
        text += SILENT.format(silent=silent)
    return Screen(text, keyboards.results(menu, page))
