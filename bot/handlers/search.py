"""`/search` and plain text in a private chat: results as buttons, and paging through them."""

import asyncio

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, LinkPreviewOptions, Message

from bot import keyboards
from bot.callbacks import ShowResults
from bot.editing import Editor, Screen
from bot.handlers.menu_access import open_menu, spot_of
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
    message: Message, command: CommandObject, sources: Sources, menus: Menus, editor: Editor
) -> None:
    await _search(message, command.args or "", sources, menus, editor)


async def search_text(message: Message, sources: Sources, menus: Menus, editor: Editor) -> None:
    await _search(message, message.text or "", sources, menus, editor)


async def unknown_command(message: Message) -> None:
    await message.reply("I don't know that command. /help lists what I can do.")


async def show_results(query: CallbackQuery, callback_data: ShowResults, menus: Menus, editor: Editor) -> None:
    menu = await open_menu(menus, callback_data.menu, Results, query)
    editor.show_once(spot_of(query), results_screen(menu, callback_data.page))


async def _search(message: Message, text: str, sources: Sources, menus: Menus, editor: Editor) -> None:
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
    mangas, silent = await find(sources.all(), query)
    menu = Results(id=menus.new_id(), owner=message.from_user.id, query=query, mangas=mangas, silent=silent)
    await menus.save(menu)
    editor.show_once((sent.chat.id, sent.message_id), results_screen(menu, 0))


async def find(sources: list[Source], query: str) -> tuple[tuple[Manga, ...], tuple[str, ...]]:
    """What all sources find, and the names of those that gave no answer."""
    answers = await asyncio.gather(*(_ask(source, query) for source in sources))
    mangas = tuple(manga for answer in answers for manga in answer or ())
    silent = tuple(source.name for source, answer in zip(sources, answers, strict=True) if answer is None)
    return mangas, silent


async def _ask(source: Source, query: str) -> tuple[Manga, ...] | None:
    try:
        async with asyncio.timeout(SEARCH_SECONDS):
            return (await source.search(query)).mangas
    except (SourceError, TimeoutError):
        return None


def results_screen(menu: Results, page: int) -> Screen:
    """The results on that page, or which of the two reasons there are for having none."""
    query, silent = safe(menu.query, 100), safe(", ".join(menu.silent))
    if not menu.mangas:
        return Screen((ALL_SILENT if menu.silent else NOTHING).format(query=query, silent=silent))
    text = FOUND.format(query=query, found=count(len(menu.mangas), "title", "titles"))
    if menu.silent:
        text += SILENT.format(silent=silent)
    return Screen(text, keyboards.results(menu, page))
