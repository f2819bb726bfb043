"""All follows of a chat together: the hours in which nothing comes, the list as a file, and chats that are left."""

import json
import time
from functools import partial
from typing import Literal

from aiogram import Bot, F, Router
from aiogram.enums import ChatAction
from aiogram.exceptions import TelegramAPIError, TelegramMigrateToChat
from aiogram.types import BufferedInputFile, CallbackQuery, ChatMemberUpdated, Message
from pydantic import ConfigDict, Field, ValidationError

from bot import keyboards
from bot.callbacks import ChangeMuted, ExportFollows, MutedChange, ShowMuted
from bot.callers import Caller
from bot.delivery.addresses import Addresses
from bot.delivery.trouble import Trouble, trouble
from bot.destination import Destination
from bot.editing import Editor, Screen
from bot.handlers.menu_access import PressRefused, check_opener, may_decide, spot_of
from bot.language import many, mark, say, spoken
from bot.memory.follows import MOST_FOLLOWS, Follow, Follows, TooManyFollows, Way
from bot.memory.preferences import Preferences
from bot.memory.quiet_hours import DAY, MOST_EAST, MOST_WEST, Quiet, QuietHours
from bot.texts import safe
from tasks.errors import UnknownSource
from tasks.models import ArchiveFormat, Id, Manga, Value
from tasks.sources.registry import Sources
from tasks.titles.store import TitleStore

HOUR, HALF_AN_HOUR = 60, 30
HOURS_AHEAD = {"ko": 9, "ja": 9, "id": 7, "ru": 3, "ar": 3, "es": 1, "fr": 1, "pt-br": -3}
"""Of UTC, where most people live who speak that."""
FILE_NAME = "following.json"
LARGEST_FILE = 1_000_000
MOST_NAMED = 10
LONGEST_TITLE, LONGEST_URL = 500, 500
ONLY_ADMINS = mark("Only admins of the group can change that.")
NO_LIST = mark("That is no list of followed titles that I can read.")
CHANGES: dict[MutedChange, tuple[Literal["begins", "ends"], int]] = {
    MutedChange.BEGINS_EARLIER: ("begins", -HOUR),
    MutedChange.BEGINS_LATER: ("begins", HOUR),
    MutedChange.ENDS_EARLIER: ("ends", -HOUR),
    MutedChange.ENDS_LATER: ("ends", HOUR),
}
CLOCKS = {MutedChange.CLOCK_BACK: -HALF_AN_HOUR, MutedChange.CLOCK_ON: HALF_AN_HOUR}
GONE = {"left", "kicked"}


def router() -> Router:
    routes = Router(name="follow-list")
    routes.callback_query.register(show_muted, ShowMuted.filter())
    routes.callback_query.register(change_muted, ChangeMuted.filter())
    routes.callback_query.register(export_follows, ExportFollows.filter())
    routes.message.register(import_follows, F.document.file_name.lower().endswith(".json"))
    routes.message.register(moved, F.migrate_to_chat_id)
    routes.my_chat_member.register(left, F.new_chat_member.status.in_(GONE))
    return routes


async def show_muted(query: CallbackQuery, bot: Bot, caller: Caller, quiet_hours: QuietHours) -> None:
    await _check(spot_of(query).chat_id, bot, caller)
    if isinstance(query.message, Message):
        screen = muted_screen(await _quiet(spot_of(query).chat_id, quiet_hours), time.time())
        await query.message.reply(screen.text, reply_markup=screen.keyboard)


async def change_muted(
    query: CallbackQuery,
    callback_data: ChangeMuted,
    bot: Bot,
    caller: Caller,
    follows: Follows,
    titles: TitleStore,
    quiet_hours: QuietHours,
    editor: Editor,
) -> None:
    spot = spot_of(query)
    quiet = await _quiet(spot.chat_id, quiet_hours)
    if callback_data.what is MutedChange.SHOW:
        await check_opener(query, bot)
    else:
        await _check(spot.chat_id, bot, caller)
        quiet = await quiet_hours.change(spot.chat_id, quiet, partial(_changed, what=callback_data.what))
        for key in await follows.keys_of(spot.chat_id):
            await titles.remind(key, str(spot.chat_id))
    editor.show_once(spot, muted_screen(quiet, time.time()))


async def _check(chat_id: int, bot: Bot, caller: Caller) -> None:
    """Raises `PressRefused` for whoever may not decide for the chat."""
    if not await may_decide(bot, chat_id, caller.id):
        raise PressRefused(say(ONLY_ADMINS))


async def _quiet(chat_id: int, quiet_hours: QuietHours) -> Quiet:
    usual = Quiet(offset=HOURS_AHEAD.get(spoken(), 0) * HOUR, on=False)
    return await quiet_hours.of(chat_id) or usual


def _changed(quiet: Quiet, what: MutedChange) -> Quiet:
    if what is MutedChange.SWITCH:
        return quiet.model_copy(update={"on": not quiet.on})
    if what in CLOCKS:
        offset = quiet.offset + CLOCKS[what]
        if offset > MOST_EAST:
            offset = MOST_WEST
        elif offset < MOST_WEST:
            offset = MOST_EAST
        return quiet.model_copy(update={"offset": offset})
    name, minutes = CHANGES[what]
    return quiet.model_copy(update={name: (getattr(quiet, name) + minutes) % DAY, "on": True})


def muted_screen(quiet: Quiet, now: float) -> Screen:
    """The hours in which nothing comes by itself."""
    begins, ends, clock = (_time(one) for one in (quiet.begins, quiet.ends, quiet.clock(now)))
    if quiet.on:
        state = say("From {begins} until {ends} no new chapters come; they come after that.", begins=begins, ends=ends)
    else:
        state = say("New chapters come at any hour.")
    about = say("I can't know what time it is with you: set the clock below.")
    keyboard = keyboards.muted(begins, ends, clock, on=quiet.on)
    return Screen(f"🌙 <b>{say('Muted hours')}</b>\n{state}\n{about}", keyboard)


def _time(minute: int) -> str:
    return f"{minute // HOUR:02}:{minute % HOUR:02}"


class Listed(Value):
    """A followed title in an exported list."""

    model_config = ConfigDict(extra="ignore")

    source: str = Field(max_length=60)
    id: Id
    title: str = Field(min_length=1, max_length=LONGEST_TITLE)
    url: str | None = Field(default=None, max_length=LONGEST_URL, pattern=r"^https?://\S+$")
    original_language: str | None = Field(default=None, max_length=20)
    languages: tuple[str, ...] = Field(default=(), max_length=100)
    language: str | None = Field(default=None, max_length=20)
    group: str | None = Field(default=None, max_length=200)
    format: ArchiveFormat | None = None
    way: Way = Way.FILE
    paused: bool = False

    @classmethod
    def of(cls, follow: Follow) -> "Listed":
        chosen = follow.model_dump(include={"language", "group", "format", "way", "paused"})
        about = follow.manga.model_dump(include={"source", "id", "original_language", "languages"})
        url = follow.manga.url
        about["title"] = follow.manga.title[:LONGEST_TITLE] or follow.manga.id
        about["url"] = url if url and len(url) <= LONGEST_URL else None
        return cls.model_construct(**about, **chosen)

    def follow(self, source: str, to: Destination, caller: Caller, language: str) -> Follow:
        """The title as that chat follows it, of the source of that name."""
        about = self.model_dump(include={"id", "title", "url", "original_language", "languages"})
        chosen = self.model_dump(include={"language", "group", "format", "way", "paused"})
        who = {"user_id": caller.id, "user_name": caller.name, "spoken": language}
        where = {"chat_id": to.chat_id, "thread_id": to.thread_id}
        return Follow.model_validate({"manga": Manga(source=source, **about), **chosen, **who, **where})


class List(Value):
    """What a chat follows, as a file."""

    version: Literal[1]
    follows: tuple[object, ...] = Field(max_length=10 * MOST_FOLLOWS)
    muted: Quiet | None = None


async def export_follows(query: CallbackQuery, bot: Bot, follows: Follows, quiet_hours: QuietHours) -> None:
    await check_opener(query, bot)
    if not isinstance(query.message, Message):
        return
    chat_id = query.message.chat.id
    listed = [Listed.of(one).model_dump(mode="json", exclude_none=True) for one in await follows.of(chat_id)]
    quiet = await quiet_hours.of(chat_id)
    told = {"version": 1, "follows": listed, "muted": quiet.model_dump() if quiet else None}
    body = json.dumps(told, ensure_ascii=False, indent=1).encode()
    caption = say("Send me this file to follow all of it, here or in another chat.")
    await query.message.reply_document(BufferedInputFile(body, FILE_NAME), caption=caption)


async def import_follows(
    message: Message,
    bot: Bot,
    caller: Caller,
    preferences: Preferences,
    follows: Follows,
    quiet_hours: QuietHours,
    sources: Sources,
) -> None:
    chat_id = message.chat.id
    if not await may_decide(bot, chat_id, caller.id):
        await message.reply(say(ONLY_ADMINS))
        return
    found = await _read(message, bot)
    if found is None:
        await message.reply(say(NO_LIST))
        return
    if found.muted and await quiet_hours.of(chat_id) is None:
        await quiet_hours.choose(chat_id, found.muted)
    importing = _Import(follows, sources, Destination.of(message, None), caller, preferences.language or spoken())
    for one in found.follows:
        await importing.take(one)
    await message.reply(importing.told())


async def _read(message: Message, bot: Bot) -> List | None:
    document = message.document
    if document is None or (document.file_size or 0) > LARGEST_FILE:
        return None
    try:
        file = await bot.download(document)
        return List.model_validate_json(file.read()) if file else None
    except (ValidationError, TelegramAPIError, UnicodeDecodeError, OSError):
        return None


class _Import:
    """Takes the titles of a list one by one."""

    def __init__(self, follows: Follows, sources: Sources, to: Destination, caller: Caller, language: str) -> None:
        self._follows = follows
        self._sources = sources
        self._to = to
        self._caller = caller
        self._language = language
        self._added = self._known = 0
        self._wrong: list[str] = []

    async def take(self, entry: object) -> None:
        told = entry if isinstance(entry, dict) else {}
        name = str(told.get("title") or told.get("id") or "?")
        try:
            listed = Listed.model_validate(entry)
            source = self._sources.get(listed.source)
            follow = listed.follow(source.name, self._to, self._caller, self._language)
            # Nothing is known of its chapters: the first look finds out what is there.
            added = await self._follows.add(follow, None)
        except (ValidationError, UnknownSource, TooManyFollows):
            self._wrong.append(name)
        else:
            self._added, self._known = self._added + added, self._known + (not added)

    def told(self) -> str:
        """What became of the list, as HTML."""
        lines = [
            many("{number} title is followed from now on.", "{number} titles are followed from now on.", self._added)
        ]
        if self._known:
            lines.append(many("{number} was before.", "{number} were before.", self._known))
        if self._wrong:
            names = ", ".join(safe(one, 60) for one in self._wrong[:MOST_NAMED])
            more = f" +{len(self._wrong) - MOST_NAMED}" if len(self._wrong) > MOST_NAMED else ""
            lines.append(say("These can't be followed here: {names}", names=names + more))
        return "\n".join(lines)


async def moved(message: Message, addresses: Addresses) -> None:
    """The group became a supergroup, which is another chat."""
    if message.migrate_to_chat_id:
        await addresses.moved(message.chat.id, message.migrate_to_chat_id)


async def left(event: ChatMemberUpdated, bot: Bot, addresses: Addresses) -> None:
    """The bot was blocked, or removed from the group; or the group became a supergroup, which Telegram may tell later."""
    if event.chat.type != "group":
        await addresses.gone(event.chat.id)
        return
    try:
        # Nobody sees it: Telegram tells what became of the group.
        await bot.send_chat_action(event.chat.id, ChatAction.TYPING)
    except TelegramMigrateToChat as error:
        await addresses.moved(event.chat.id, error.migrate_to_chat_id)
    except TelegramAPIError as error:
        if trouble(error) is not Trouble.LATER:  # then the next news find out
            await addresses.gone(event.chat.id)
