"""Sharing: `/start <payload>`, and `@bot …` in any chat."""

from aiogram import Bot, F, Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InlineQueryResultCachedDocument,
    InlineQueryResultUnion,
    InputTextMessageContent,
    LinkPreviewOptions,
    Message,
)

from bot import links
from bot.handlers.browse import card_screen, new_picker, not_opened
from bot.handlers.search import Search
from bot.memory.found import Found
from bot.memory.menus import Menus
from bot.memory.shared import SentFile, Shared
from bot.texts import safe
from tasks.errors import SourceError
from tasks.models import Manga
from tasks.sources.registry import Sources

EXPIRED = "That link has expired. Send /search to find the title again."
SHORTEST_QUERY = 3
MOST_RESULTS = 20
CACHE_SECONDS = 5
"""Telegram may show the same results for so long: they are one person's, and new ones come."""


def router() -> Router:
    routes = Router(name="share")
    routes.message.register(start_with_payload, CommandStart(deep_link=True))
    routes.inline_query.register(inline_shared, F.query.func(links.parse).as_("meant"))
    routes.inline_query.register(inline_search)
    return routes


async def start_with_payload(
    message: Message, command: CommandObject, shared: Shared, sources: Sources, menus: Menus
) -> None:
    found = await _behind(links.parse(command.args or ""), shared)
    if isinstance(found, SentFile):
        await message.reply_document(found.file_id, caption=found.caption)
    elif found and message.from_user:
        await _open_title(message, message.from_user.id, found, sources, menus, shared)
    else:
        await message.reply(EXPIRED)


async def _behind(meant: tuple[str, str] | None, shared: Shared) -> SentFile | Manga | None:
    """What a kind and a token stand for; None = nothing, or nothing any more."""
    kind, token = meant or ("", "")
    if kind == links.FILE:
        return await shared.file(token)
    return await shared.title(token) if kind == links.TITLE else None


async def _open_title(
    message: Message, owner: int, manga: Manga, sources: Sources, menus: Menus, shared: Shared
) -> None:
    try:
        details = await sources.get(manga.source).details(manga.id)
    except SourceError as error:
        await message.reply(not_opened(manga, error))
        return
    screen = card_screen(await new_picker(details, owner, menus, shared))
    await message.reply(screen.text, reply_markup=screen.keyboard, link_preview_options=screen.preview)


async def inline_shared(query: InlineQuery, meant: tuple[str, str], bot: Bot, shared: Shared) -> None:
    found = await _behind(meant, shared)
    results: list[InlineQueryResultUnion] = []
    if isinstance(found, SentFile):
        results = [_document(found, meant[1])]
    elif found:
        results = [await _article(found, bot, shared)]
    await query.answer(results, cache_time=CACHE_SECONDS, is_personal=True)


def _document(file: SentFile, token: str) -> InlineQueryResultCachedDocument:
    return InlineQueryResultCachedDocument(
        id=token, title=file.name, document_file_id=file.file_id, caption=file.caption, parse_mode="HTML"
    )


async def inline_search(query: InlineQuery, bot: Bot, sources: Sources, found: Found, shared: Shared) -> None:
    text = " ".join(query.query.split())
    mangas = await Search(sources.all(), found).all(text) if len(text) >= SHORTEST_QUERY else []
    unique = {(manga.source, manga.id): manga for manga in mangas}.values()
    results = [await _article(manga, bot, shared) for manga in list(unique)[:MOST_RESULTS]]
    await query.answer(list(results), cache_time=CACHE_SECONDS, is_personal=True)


async def _article(manga: Manga, bot: Bot, shared: Shared) -> InlineQueryResultArticle:
    token = await shared.remember_title(manga)
    address = links.link((await bot.me()).username or "", links.TITLE, token)
    about = " · ".join(filter(None, [", ".join(manga.authors), str(manga.year or ""), manga.source]))
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
        reply_markup=InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Pick chapters", url=address)]]),
    )
