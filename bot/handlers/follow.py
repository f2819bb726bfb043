"""`Follow`, `/following`, and what stands under new chapters: who follows what, and how it comes."""

import time
from collections.abc import Sequence
from typing import TypeVar

from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot import editions, keyboards
from bot.callbacks import AtNews, ChangeFollow, FollowChange, FollowTitle, ShowFollow, ShowFollows
from bot.callers import Caller
from bot.destination import Destination
from bot.editing import Editor, Screen
from bot.handlers.cards import Cards
from bot.handlers.menu_access import TOO_OLD, PressRefused, check_opener, may_decide, open_menu, spot_of
from bot.language import language_name, mark, say, spoken
from bot.memory.follows import MOST_FOLLOWS, Follow, Follows, TooManyFollows, Way
from bot.memory.menus import Menus, Picker
from bot.memory.preferences import Preferences
from bot.middlewares import Answer
from bot.texts import duration, safe, sentence
from tasks.errors import ManhwaError, SourceBusy, SourceDown, SourcePaused
from tasks.models import ArchiveFormat, MangaDetails
from tasks.sources.registry import Sources
from tasks.titles.store import TitleStore
from tasks.titles.title import Title

T = TypeVar("T")
ON_A_PAGE = 8
MOST_GROUPS = 10
FOLLOWED = mark("New chapters come by themselves from now on. /following has more.")
PAUSED = mark("Paused: new chapters wait.")
GOES_ON = mark("New chapters come again, and what came meanwhile.")
UNFOLLOWED = mark("Not followed any more.")
NOT_FOLLOWED = mark("That title is not followed here any more.")
NOT_YOURS = mark("Only who follows it, or an admin, can change that.")
NOTHING = mark("Nothing is followed here yet. Press Follow under a title: its new chapters come by themselves.")
FULL = mark("This chat follows {number} titles, the most there can be.")
WAYS = {Way.FILE: mark("New chapters come as a file"), Way.NOTICE: mark("New chapters come as a notice")}
ANSWERS = {FollowChange.PAUSE: PAUSED, FollowChange.RESUME: GOES_ON, FollowChange.UNFOLLOW: UNFOLLOWED}


def router() -> Router:
    routes = Router(name="follow")
    routes.message.register(list_follows, Command("following"))
    routes.callback_query.register(follow_title, FollowTitle.filter())
    routes.callback_query.register(show_follows, ShowFollows.filter())
    routes.callback_query.register(show_follow, ShowFollow.filter())
    routes.callback_query.register(change_follow, ChangeFollow.filter())
    routes.callback_query.register(change_at_news, AtNews.filter())
    return routes


async def follow_title(
    query: CallbackQuery,
    callback_data: FollowTitle,
    caller: Caller,
    preferences: Preferences,
    menus: Menus,
    follows: Follows,
    titles: TitleStore,
    sources: Sources,
    cards: Cards,
    editor: Editor,
    answer: Answer,
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    if not isinstance(query.message, Message):
        raise PressRefused(say(TOO_OLD))
    details = await _whole(picker, sources)
    follow = _follow(picker, details, query.message, caller, preferences)
    try:
        added = await follows.add(follow, details.chapters)
    except TooManyFollows:
        raise PressRefused(say(FULL, number=MOST_FOLLOWS)) from None
    if added:
        await answer.now(say(FOLLOWED))
        editor.show_once(spot_of(query), await cards.pressed(query, picker))
        return
    known = await follows.get(follow.chat_id, follow.manga.key)
    editor.show_once(spot_of(query), await _screen(known or follow, titles))


async def _whole(picker: Picker, sources: Sources) -> MangaDetails:
    """The title with all its chapters, which are no news. Raises `PressRefused` where its source does not tell."""
    manga = picker.details.manga
    if picker.is_whole:
        return picker.details
    try:
        return await sources.get(manga.source).details(manga.id)
    except ManhwaError as error:
        raise PressRefused(sentence(error.code, error.detail)) from error


def _follow(picker: Picker, details: MangaDetails, where: Message, caller: Caller, preferences: Preferences) -> Follow:
    """The title for the chat of that message, in the language and of the group that are chosen in the picker."""
    destination = Destination.of(where, None)
    return Follow(
        manga=details.manga,
        chat_id=destination.chat_id,
        thread_id=destination.thread_id,
        user_id=caller.id,
        user_name=caller.name,
        spoken=preferences.language or spoken(),
        language=picker.language,
        group=picker.group,
        groups=tuple(editions.groups(details.chapters, picker.language)[:MOST_GROUPS]),
    )


async def list_follows(message: Message, follows: Follows) -> None:
    screen = await follows_screen(message.chat.id, follows, 0)
    await message.reply(screen.text, reply_markup=screen.keyboard)


async def show_follows(
    query: CallbackQuery, callback_data: ShowFollows, bot: Bot, follows: Follows, editor: Editor
) -> None:
    await check_opener(query, bot)
    spot = spot_of(query)
    editor.show_once(spot, await follows_screen(spot.chat_id, follows, callback_data.page))


async def show_follow(
    query: CallbackQuery, callback_data: ShowFollow, bot: Bot, follows: Follows, titles: TitleStore, editor: Editor
) -> None:
    await check_opener(query, bot)
    follow = await _followed(query, callback_data.title, follows)
    editor.show_once(spot_of(query), await _screen(follow, titles))


async def change_follow(
    query: CallbackQuery,
    callback_data: ChangeFollow,
    bot: Bot,
    caller: Caller,
    follows: Follows,
    titles: TitleStore,
    editor: Editor,
    answer: Answer,
) -> None:
    follow = await _changeable(query, callback_data.title, bot, caller, follows)
    changed = await _change(follow, callback_data.what, follows)
    if text := ANSWERS.get(callback_data.what):
        await answer.now(say(text))
    spot = spot_of(query)
    editor.show_once(
        spot, await _screen(changed, titles) if changed else await follows_screen(spot.chat_id, follows, 0)
    )


async def change_at_news(
    query: CallbackQuery,
    callback_data: AtNews,
    bot: Bot,
    caller: Caller,
    follows: Follows,
    editor: Editor,
    answer: Answer,
) -> None:
    """The message stays as it is but for this row of buttons: it may be a file."""
    follow = await _changeable(query, callback_data.title, bot, caller, follows)
    changed = await _change(follow, callback_data.what, follows)
    await answer.now(say(ANSWERS[callback_data.what]))
    row = keyboards.follow_row(callback_data.title, paused=changed.paused) if changed else []
    if isinstance(query.message, Message):
        editor.show_buttons(spot_of(query), keyboards.without_news(query.message.reply_markup, row))


async def _followed(query: CallbackQuery, key: str, follows: Follows) -> Follow:
    """How the chat of the button follows that title. Raises `PressRefused` where it does not."""
    follow = await follows.get(spot_of(query).chat_id, key)
    if follow is None:
        raise PressRefused(say(NOT_FOLLOWED))
    return follow


async def _changeable(query: CallbackQuery, key: str, bot: Bot, caller: Caller, follows: Follows) -> Follow:
    """The same, where who pressed may change that. Raises `PressRefused` where they may not as well."""
    follow = await _followed(query, key, follows)
    if caller.id != follow.user_id and not await may_decide(bot, follow.chat_id, caller.id):
        raise PressRefused(say(NOT_YOURS))
    return follow


async def _change(follow: Follow, what: FollowChange, follows: Follows) -> Follow | None:
    """The follow as it is then; None where there is none any more."""
    chat_id, key = follow.chat_id, follow.manga.key
    match what:
        case FollowChange.UNFOLLOW:
            await follows.remove(chat_id, key)
            return None
        case FollowChange.PAUSE | FollowChange.RESUME:
            return await follows.change(chat_id, key, paused=what is FollowChange.PAUSE)
        case FollowChange.WAY:
            return await follows.change_once(chat_id, key, way=_next(tuple(Way), follow.way))
        case FollowChange.FORMAT:
            return await follows.change_once(chat_id, key, format=_next((None, *ArchiveFormat), follow.format))
        case FollowChange.LANGUAGE:
            return await follows.change_once(chat_id, key, language=_next(_languages(follow), follow.language))
        case FollowChange.GROUP:
            return await follows.change_once(chat_id, key, group=_next(_groups(follow), follow.group))


def _next(choices: Sequence[T], now: T) -> T:
    place = choices.index(now) + 1 if now in choices else 0
    return choices[place % len(choices)]


def _languages(follow: Follow) -> tuple[str | None, ...]:
    return tuple(dict.fromkeys((None, follow.language, *follow.manga.languages)))


def _groups(follow: Follow) -> tuple[str | None, ...]:
    return tuple(dict.fromkeys((None, follow.group, *follow.groups)))


async def follows_screen(chat_id: int, follows: Follows, page: int) -> Screen:
    """What the chat follows, the latest first."""
    keys = await follows.keys_of(chat_id)
    if not keys:
        return Screen(say(NOTHING), keyboards.follows([], 0, 1))
    pages = keyboards.page_count(len(keys), ON_A_PAGE)
    page = max(0, min(page, pages - 1))
    found = [(key, await follows.get(chat_id, key)) for key in keys[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]]
    shown = [(key, f"{_sign(follow)} {follow.manga.title}") for key, follow in found if follow]
    signs = f"⏸ {say('paused')} · 🔔 {say('as a notice')} · 📚 {say('as a file')}"
    text = f"🔔 <b>{say('Followed here')}</b> ({len(keys)})\n{signs}"
    return Screen(text, keyboards.follows(shown, page, pages))


def _sign(follow: Follow) -> str:
    if follow.paused:
        return "⏸"
    return "🔔" if follow.way is Way.NOTICE else "📚"


async def _screen(follow: Follow, titles: TitleStore) -> Screen:
    title = await titles.read(follow.manga.key)
    return follow_screen(follow, title, time.time())


def follow_screen(follow: Follow, title: Title | None, now: float) -> Screen:
    """How the title is followed, and how the looks at it go."""
    lines = [f"🔔 <b>{safe(follow.manga.title, 120)}</b> · {safe(follow.manga.source)}"]
    if follow.paused:
        lines.append(f"⏸ {say(PAUSED)}")
    if title and title.looked_at:
        lines.append(say("Looked for new chapters {time} ago", time=duration(int(now - title.looked_at))))
    else:
        lines.append(say("Not looked for new chapters yet"))
    if title and title.trouble:
        silent = title.trouble in {SourceBusy.code, SourcePaused.code}
        trouble = sentence(SourceDown.code if silent else title.trouble, {"source": follow.manga.source})
        lines.append(f"⚠ {safe(trouble, 200)}")
    changes = [(FollowChange.WAY, say(WAYS[follow.way]))]
    if follow.way is Way.FILE:
        form = follow.format.value.upper() if follow.format else say("as in /settings")
        changes.append((FollowChange.FORMAT, say("File format: {format}", format=form)))
    if len(_languages(follow)) > 1:
        name = language_name(follow.language) if follow.language else say("all languages")
        changes.append((FollowChange.LANGUAGE, f"🌐 {name}"))
    if len(_groups(follow)) > 1:
        changes.append((FollowChange.GROUP, f"👥 {follow.group or say('Any group')}"))
    return Screen("\n".join(lines), keyboards.follow(follow.manga.key, changes, paused=follow.paused))
