"""`/search` and plain text in a private chat: results as buttons, and paging through them."""

from contextlib import aclosing

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, LinkPreviewOptions, Message

from bot import keyboards, search_words
from bot.callbacks import ShowResults
from bot.callers import Caller
from bot.editing import Editor, Screen, Spot
from bot.handlers.menu_access import open_menu, spot_of
from bot.language import many, mark, say
from bot.memory.found import Found
from bot.memory.menus import Menus, Results
from bot.memory.preferences import Preferences
from bot.search import Search
from bot.texts import safe, sentence
from tasks.errors import SourceError, SourceRefuses
from tasks.models import Manga
from tasks.sources.registry import Sources

USAGE = mark("Send /search and a title, such as <code>/search lighthouse</code>.")
FILTERS = "<code>lang:en from:ko status:completed rating:safe order:year is:readable</code>"
UNKNOWN_FILTER = mark("I don't know “{word}”. A search is narrowed like this: {example}")
TOO_LONG = mark("That is too long for a title. Send at most {limit} characters.")
SEARCHING = mark("Searching for “{query}” …")
NOTHING = mark("Nothing found for “{query}”. Try fewer words or another spelling.")
ALL_SILENT = mark(
    "No source answered, so I can't tell whether “{query}” exists. Try again later. Not reached: {silent}"
)

QUERY_LENGTH = 200


def router() -> Router:
    routes = Router(name="search")
    routes.message.register(search, Command("search"))
    routes.message.register(search, F.chat.type == "private", F.text, ~F.text.startswith("/"))
    routes.message.register(unknown_command, F.chat.type == "private", F.text)
    routes.callback_query.register(show_results, ShowResults.filter())
    return routes


async def search(
    message: Message,
    caller: Caller,
    preferences: Preferences,
    sources: Sources,
    found: Found,
    menus: Menus,
    editor: Editor,
    command: CommandObject | None = None,
) -> None:
    """What stands behind the command, or the whole text."""
    text = command.args if command else message.text
    query = " ".join((text or "").split())
    if not query:
        await message.reply(say(USAGE))
    elif len(query) > QUERY_LENGTH:
        await message.reply(say(TOO_LONG, limit=QUERY_LENGTH))
    elif refusal := _refusal(query):
        await message.reply(refusal)
    else:
        await _search(message, query, caller, preferences, Search(sources.all(), found), menus, editor)


def _refusal(query: str) -> str:
    """Why nobody can be asked that; empty if they can."""
    try:
        title, _ = search_words.parse(query)
    except search_words.UnknownFilter as error:
        return say(UNKNOWN_FILTER, word=safe(error.word, 60), example=FILTERS)
    return "" if title else say(USAGE)


async def unknown_command(message: Message) -> None:
    await message.reply(say("I don't know that command. /help lists what I can do."))


async def show_results(query: CallbackQuery, callback_data: ShowResults, menus: Menus, editor: Editor) -> None:
    menu = await open_menu(menus, callback_data.menu, Results, query)
    await menus.come_back(menu.id)
    editor.show_once(spot_of(query), results_screen(menu, callback_data.page))


async def _search(
    message: Message,
    query: str,
    caller: Caller,
    preferences: Preferences,
    asking: Search,
    menus: Menus,
    editor: Editor,
) -> None:
    searching = f"🔎 {say(SEARCHING, query=safe(query))}"
    sent = await message.reply(searching, link_preview_options=LinkPreviewOptions(is_disabled=True))
    asked = tuple(source.name for source in asking.sources)
    order = preferences.sources
    menu = Results(id=menus.new_id(), owner=caller.id, query=query, mangas=(), asked=asked, order=order)
    async with aclosing(asking.answers(query)) as answers:
        async for source, found in answers:
            menu = _with_answer(menu, source.name, found, preferences)
            await menus.save(menu)
            # Somebody may have opened a title in it before the slowest source had answered.
            if not await menus.is_left(menu.id):
                editor.show_once(Spot(sent.chat.id, sent.message_id), results_screen(menu, 0))


def _with_answer(
    menu: Results, source: str, found: tuple[Manga, ...] | SourceError, preferences: Preferences
) -> Results:
    """What comes later goes to the end: buttons that are shown already keep their meaning."""
    asked = tuple(name for name in menu.asked if name != source)
    if isinstance(found, SourceRefuses):
        return menu.model_copy(update={"refused": (*menu.refused, source), "asked": asked})
    if isinstance(found, SourceError):
        return menu.model_copy(update={"silent": (*menu.silent, source), "asked": asked})
    allowed = [manga for manga in found if preferences.allows(manga.rating)]
    return menu.model_copy(
        update={
            "mangas": (*menu.mangas, *allowed),
            "hidden": menu.hidden + len(found) - len(allowed),
            "answered": (*menu.answered, source),
            "asked": asked,
        }
    )


def results_screen(menu: Results, page: int) -> Screen:
    """The results on that page, or which of the two reasons there are for having none."""
    query = safe(menu.query, 100)
    pages = keyboards.page_count(len(menu.mangas), keyboards.RESULTS_ON_A_PAGE)
    lines = [_result_line(menu, query)]
    if menu.asked:
        lines.append(f"⏳ {say('Still asking: {sources}', sources=safe(', '.join(menu.asked)))}")
    if menu.hidden:
        hidden = many(
            "{number} title is not shown: this group does not allow its kind.",
            "{number} titles are not shown: this group does not allow their kind.",
            menu.hidden,
        )
        lines.append(hidden)
    if menu.silent and menu.answered:
        lines.append(f"⚠ {say('Not reached: {sources}', sources=safe(', '.join(menu.silent)))}")
    lines += [f"⚠ {safe(sentence(SourceRefuses.code, {'source': name}))}" for name in menu.refused]
    keyboard = keyboards.results(menu, max(0, min(page, pages - 1))) if menu.mangas else None
    return Screen("\n".join(lines), keyboard)


def _result_line(menu: Results, query: str) -> str:
    if menu.mangas:
        return f"🔎 “{query}”: {many('{number} title', '{number} titles', len(menu.mangas))}"
    if menu.asked:
        return f"🔎 {say(SEARCHING, query=query)}"
    if menu.silent and not menu.answered:
        return say(ALL_SILENT, query=query, silent=safe(", ".join(menu.silent)))
    untold = menu.hidden or (menu.refused and not menu.answered)
    return "🔎 " + (f"“{query}”" if untold else say(NOTHING, query=query))
