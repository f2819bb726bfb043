"""Sharing: `/start <payload>`, and `@bot …` in any chat."""

from dataclasses import dataclass

from aiogram import Bot, F, Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.types import (
    InlineQuery,
    InlineQueryResultArticle,
    InlineQueryResultCachedDocument,
    InlineQueryResultUnion,
    InputTextMessageContent,
    LinkPreviewOptions,
    Message,
)

from bot import keyboards, links
from bot.callers import Caller
from bot.delivery.status_message import caption
from bot.handlers.browse import NOT_ALLOWED, new_picker, not_opened, send_picker
from bot.handlers.cards import Cards
from bot.handlers.menu_access import is_member
from bot.language import mark, say
from bot.links import Kind
from bot.memory.found import Found
from bot.memory.menus import Menus, Picker
from bot.memory.preferences import Chosen, Preferences
from bot.memory.shared import Errand, Selection, SentFile, Shared
from bot.search import Search
from bot.settings import BotSettings
from bot.texts import chapters_text, safe
from tasks.archives.names import chapter_range
from tasks.errors import ManhwaError
from tasks.jobs.store import JobStore
from tasks.models import Manga, MangaDetails
from tasks.sources.registry import Sources

EXPIRED = mark("That link has expired. Send /search to find the title again.")
SHORTEST_QUERY = 3
MOST_RESULTS = 20
CACHE_SECONDS = 5
"""Telegram may show the same results for so long: they are one person's, and new ones come."""


def router() -> Router:
    routes = Router(name="share")
    routes.message.register(start_with_payload, CommandStart(deep_link=True, magic=F.args != links.SETTINGS))
    routes.inline_query.register(inline_shared, F.query.func(links.parse).as_("meant"))
    routes.inline_query.register(inline_search)
    return routes


@dataclass(frozen=True)
class Opening:
    """Somebody opens a link in a chat; what can't be opened is told."""

    message: Message
    bot: Bot
    caller: Caller
    preferences: Preferences
    chosen: Chosen
    shared: Shared
    sources: Sources
    menus: Menus
    store: JobStore
    settings: BotSettings
    cards: Cards

    async def file(self, file: SentFile) -> None:
        await self.message.reply_document(file.file_id, caption=caption(file))

    async def title(self, manga: Manga) -> None:
        if details := await self._details(manga, self.preferences):
            picker = await new_picker(details, self.caller.id, self.preferences, self.menus, self.shared)
            screen = await self.cards.at(self.message, picker)
            await self.message.reply(screen.text, reply_markup=screen.keyboard, link_preview_options=screen.preview)

    async def chapters(self, located: MangaDetails) -> None:
        """Chapters that were found by their ids alone, picked already."""
        picker = await new_picker(located, self.caller.id, self.preferences, self.menus, self.shared, is_whole=False)
        places = picker.available(range(len(picker.chapters)))
        await send_picker(self.message, picker, places, self.menus, self.store)

    async def selection(self, selection: Selection) -> None:
        details = await self._details(selection.manga, self.preferences)
        if details is None:
            return
        # Who shared them saw this language, and these groups.
        language = next((chapter.language for chapter in selection.chapters), None)
        groups = tuple(dict.fromkeys(group for chapter in selection.chapters for group in chapter.groups))
        shown = self.preferences.model_copy(update={"chapter_language": language, "groups": groups})
        picker = await new_picker(details, self.caller.id, shown, self.menus, self.shared)
        labels = {chapter.label for chapter in selection.chapters}
        places = picker.available(place for place, one in enumerate(picker.chapters) if one.label in labels)
        await send_picker(self.message, picker, places, self.menus, self.store)

    async def errand(self, errand: Errand) -> None:
        chat_id = errand.destination.chat_id
        if not await is_member(self.bot, chat_id, self.caller.id):
            await self.message.reply(say("You are not in that group."))
            return
        there = (await self.chosen.of(chat_id)).over(self.preferences)
        details = await self._details(errand.manga, there)
        if details is None:
            return
        picker = await new_picker(
            details,
            self.caller.id,
            there,
            self.menus,
            self.shared,
            destination=errand.destination,
            destination_name=(await self.bot.get_chat(chat_id)).full_name,
        )
        await send_picker(self.message, picker, set(), self.menus, self.store)

    async def _details(self, manga: Manga, preferences: Preferences) -> MangaDetails | None:
        """The title; None after it was told why it can't be opened where these preferences count."""
        if not preferences.allows(manga.rating):
            await self.message.reply(say(NOT_ALLOWED))
            return None
        try:
            return await self.sources.get(manga.source).details(manga.id)
        except ManhwaError as error:
            await self.message.reply(not_opened(manga, error))
            return None


async def start_with_payload(
    message: Message,
    command: CommandObject,
    bot: Bot,
    caller: Caller,
    preferences: Preferences,
    chosen: Chosen,
    shared: Shared,
    sources: Sources,
    menus: Menus,
    store: JobStore,
    settings: BotSettings,
    cards: Cards,
) -> None:
    opening = Opening(message, bot, caller, preferences, chosen, shared, sources, menus, store, settings, cards)
    match await _behind(links.parse(command.args or ""), shared):
        case SentFile() as file:
            await opening.file(file)
        case Manga() as manga:
            await opening.title(manga)
        case Selection() as selection:
            await opening.selection(selection)
        case Errand() as errand if message.chat.type == "private":
            await opening.errand(errand)
        case _:
            await message.reply(say(EXPIRED))


async def _behind(meant: tuple[Kind, str] | None, shared: Shared) -> SentFile | Manga | Selection | Errand | None:
    """What a kind and a token stand for; None = nothing, or nothing any more."""
    match meant:
        case (Kind.FILE, token):
            return await shared.file(token)
        case (Kind.TITLE, token):
            return await shared.title(token)
        case (Kind.SELECTION, token):
            return await shared.selection(token)
        case (Kind.ERRAND, token):
            return await shared.errand(token)
    return None


async def inline_shared(
    query: InlineQuery, meant: tuple[Kind, str], bot: Bot, caller: Caller, menus: Menus, shared: Shared
) -> None:
    results: list[InlineQueryResultUnion] = []
    match await _picked(meant, caller, menus) or await _behind(meant, shared):
        case SentFile() as file:
            results = [_document(file, meant[1])]
        case Manga() as manga:
            results = [await _title_article(manga, bot, shared)]
        case Selection() as selection:
            results = [await _selection_article(selection, bot, shared)]
    await query.answer(results, cache_time=CACHE_SECONDS, is_personal=True)


async def _picked(meant: tuple[Kind, str], caller: Caller, menus: Menus) -> Selection | None:
    """What the caller has picked in a menu of theirs."""
    kind, menu_id = meant
    picker = await menus.get(menu_id, Picker) if kind is Kind.PICKER else None
    if picker is None or picker.owner != caller.id:
        return None
    places = sorted(picker.available(await menus.picked(picker.id)))
    chapters = tuple(picker.chapters[place] for place in places)
    return Selection(manga=picker.details.manga, chapters=chapters) if chapters else None


def _document(file: SentFile, token: str) -> InlineQueryResultCachedDocument:
    return InlineQueryResultCachedDocument(
        id=token,
        title=file.file.name,
        document_file_id=file.file_id,
        caption=caption(file),
        parse_mode="HTML",
    )


async def inline_search(query: InlineQuery, bot: Bot, sources: Sources, found: Found, shared: Shared) -> None:
    text = " ".join(query.query.split())
    mangas = await Search(sources.all(), found).all(text) if len(text) >= SHORTEST_QUERY else []
    unique = {(manga.source, manga.id): manga for manga in mangas}.values()
    results = [await _title_article(manga, bot, shared) for manga in list(unique)[:MOST_RESULTS]]
    await query.answer(list(results), cache_time=CACHE_SECONDS, is_personal=True)


async def _title_article(manga: Manga, bot: Bot, shared: Shared) -> InlineQueryResultArticle:
    token = await shared.remember_title(manga)
    about = " · ".join(filter(None, [", ".join(manga.authors), str(manga.year or ""), manga.source]))
    return await _article(manga, about, Kind.TITLE, token, bot)


async def _selection_article(selection: Selection, bot: Bot, shared: Shared) -> InlineQueryResultArticle:
    await shared.remember_title(selection.manga)
    token = await shared.remember_selection(selection)
    labels = chapter_range([chapter.label for chapter in selection.chapters])
    about = f"{chapters_text(labels)} · {selection.manga.source}"
    return await _article(selection.manga, about, Kind.SELECTION, token, bot)


async def _article(manga: Manga, about: str, kind: Kind, token: str, bot: Bot) -> InlineQueryResultArticle:
    address = links.link((await bot.me()).username or "", kind, token)
    preview = LinkPreviewOptions(url=manga.cover_url, prefer_small_media=True) if manga.cover_url else None
    return InlineQueryResultArticle(
        id=token,
        title=manga.title[:200] or "–",
        description=about[:200],
        thumbnail_url=manga.cover_url,
        input_message_content=InputTextMessageContent(
            message_text=f"📖 <b>{safe(manga.title)}</b>\n{safe(about)}",
            parse_mode="HTML",
            link_preview_options=preview,
        ),
        reply_markup=keyboards.open_link(say("Pick chapters"), address),
    )
