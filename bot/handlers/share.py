"""Sharing: `/start <payload>`, and `@bot …` in any chat."""

from aiogram import Bot, F, Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InlineQueryResultCachedDocument,
    InputTextMessageContent,
    LinkPreviewOptions,
    Message,
)

from bot import links
from bot.handlers.browse import card_screen
from bot.handlers.search import Search
from bot.memory.found import Found
from bot.memory.menus import Menus, Picker
from bot.memory.shared import Shared
from bot.texts import safe, sentence
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
    routes.inline_query.register(inline_shared, F.query.func(links.parse))
    routes.inline_query.register(inline_search)
    return routes


async def start_with_payload(
    message: Message, command: CommandObject, shared: Shared, sources: Sources, menus: Menus
) -> None:
    kind, token = links.parse(command.args or "") or ("", "")
    file = await shared.file(token) if kind == links.FILE else None
    manga = await shared.title(token) if kind == links.TITLE else None
    if file:
        await message.reply_document(file.file_id, caption=file.caption)
    elif manga and message.from_user:
        await _open_title(message, message.from_user.id, manga, sources, menus)
    else:
        await message.reply(EXPIRED)


async def _open_title(message: Message, owner: int, manga: Manga, sources: Sources, menus: Menus) -> None:
    try:
        details = await sources.get(manga.source).details(manga.id)
    except SourceError as error:
        await message.reply(f"⚠ {safe(manga.title)}: {safe(sentence(error.code, error.detail), 300)}")
        return
    picker = Picker(id=menus.new_id(), owner=owner, details=details)
    await menus.save(picker)
    screen = card_screen(picker)
    await message.reply(screen.text, reply_markup=screen.keyboard, link_preview_options=screen.preview)


async def inline_shared(query: InlineQuery, bot: Bot, shared: Shared) -> None:
    kind, token = links.parse(query.query) or ("", "")
    file = await shared.file(token) if kind == links.FILE else None
    manga = await shared.title(token) if kind == links.TITLE else None
    results: list[InlineQueryResultCachedDocument | InlineQueryResultArticle] = []
    if file:
        document = InlineQueryResultCachedDocument(
            id=token, title=file.name, document_file_id=file.file_id, caption=file.caption, parse_mode="HTML"
        )
        results.append(document)
    elif manga:
        results.append(await _article(manga, bot, shared))
    await query.answer(list(results), cache_time=CACHE_SECONDS, is_personal=True)


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
