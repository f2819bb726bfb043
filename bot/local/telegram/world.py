"""The stand-in's little world: one bot, three people, their private chats, and a group with two topics. In memory, and on
disk where it was given a folder, so that a second start shows the same chats."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from aiogram.types import (
    CallbackQuery,
    Chat,
    ChatMemberBanned,
    ChatMemberLeft,
    ChatMemberMember,
    ChatMemberUpdated,
    InlineQuery,
    Message,
    Update,
    User,
)

from bot.local.telegram.errors import bad_request

AnyMember = ChatMemberMember | ChatMemberLeft | ChatMemberBanned
BOT = User(id=1000001, is_bot=True, first_name="Manhwa Downloader", username="manhwa_local_bot")
PEOPLE = (
    User(id=101, is_bot=False, first_name="Mina", last_name="Park", username="mina", language_code="en"),
    User(id=102, is_bot=False, first_name="준호", username="junho", language_code="ko"),
    User(id=103, is_bot=False, first_name="Sofía", username="sofia", language_code="es"),
)
GROUP = Chat(id=-1000000000001, type="supergroup", title="Reading club", is_forum=True)
SMALL_GROUP = Chat(id=-4000001, type="group", title="Two friends")
"""No supergroup yet; becomes `GROUP` when it is told to."""
TOPICS = {None: "General", 2: "Requests"}
CHANNEL = Chat(id=-1000000000003, type="channel", title="Chapter news")
"""Only its creator, who is the group's, posts there."""
GROUP_CREATOR = PEOPLE[0].id
ANONYMOUS = User(id=1087968824, is_bot=True, first_name="Group", username="GroupAnonymousBot")
"""In whose name admins of a group speak who don't want to be seen."""
UPDATE_LIFE = {
    "message": 24 * 3600.0,
    "channel_post": 24 * 3600.0,
    "my_chat_member": 24 * 3600.0,
    "callback_query": 150.0,
    "inline_query": 30.0,
}
"""Seconds an update waits for the bot before it is dropped."""
EMPTY_MESSAGE_ID = 10  # 1 and 2 are the group's own, and topics are named by such numbers

Dumped = dict[str, Any]


def dump(thing: Any) -> Dumped:
    """An object as the Bot API writes it."""
    dumped: Dumped = thing.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(thing, Message):
        dumped["date"] = int(thing.date.timestamp())
    return dumped


class World:
    """Everything there is. Every change gets a number, by which watchers ask for what is new to them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.messages: dict[tuple[int, int], Message] = {}
        self.reactions: dict[tuple[int, int], str] = {}
        self.changed_at: dict[tuple[int, int], int] = {}
        self.deleted: dict[tuple[int, int], int] = {}
        self.commands: dict[str, list[Dumped]] = {}
        """By scope and language, such as `all_private_chats ko` or `chat:101 `."""
        self.sequence = 0
        self.updates: deque[tuple[float, Update]] = deque()
        self.breaches: list[str] = []
        self.only_for: dict[tuple[int, int], int] = {}
        """Messages of a group that only one person sees. Gone with the next start, as Telegram allows."""
        self.further_chats: tuple[Chat, ...] = ()
        """Where many are wanted: the page shows none of them."""
        self.upgraded = False
        """The small group has become the supergroup."""
        self.gone_from: set[int] = set()
        """Chats that the bot was blocked in or removed from."""
        self._next_message = EMPTY_MESSAGE_ID
        self._next_update = int(time.time())
        self._changed = asyncio.Condition()
        self._told = asyncio.Event()
        self._dirty = False
        if folder:
            self._load(folder)

    @staticmethod
    def person(person_id: int, language: str | None = None) -> User:
        """The person, who speaks that language today."""
        for person in PEOPLE:
            if person.id == person_id:
                return person.model_copy(update={"language_code": language}) if language else person
        raise bad_request("user not found")

    def chat(self, chat_id: int) -> Chat:
        for group in (GROUP, SMALL_GROUP, CHANNEL, *self.further_chats):
            if chat_id == group.id:
                return group
        for person in PEOPLE:
            if person.id == chat_id:
                names = person.model_dump(include={"first_name", "last_name", "username"})
                return Chat(id=person.id, type="private", **names)
        raise bad_request("chat not found", breach=True)

    def message(self, chat_id: int, message_id: int) -> Message | None:
        return self.messages.get((chat_id, message_id))

    def new_message(self, chat_id: int, author: User | None, **content: Any) -> Message:
        """A message with the next id; who puts it into the world calls `put`."""
        self._next_message += 1
        return Message(
            message_id=self._next_message,
            date=datetime.now(UTC).replace(microsecond=0),
            chat=self.chat(chat_id),
            from_user=author,
            **content,
        )

    async def put(self, message: Message) -> Message:
        """Add a message, or change it in place."""
        spot = (message.chat.id, message.message_id)
        self.messages[spot] = message
        await self._touch(lambda: self.changed_at.__setitem__(spot, self.sequence))
        return message

    async def remove(self, chat_id: int, message_id: int) -> None:
        del self.messages[chat_id, message_id]
        self.changed_at.pop((chat_id, message_id), None)
        await self._touch(lambda: self.deleted.__setitem__((chat_id, message_id), self.sequence))

    async def react(self, chat_id: int, message_id: int, emoji: str) -> None:
        self.reactions[chat_id, message_id] = emoji
        await self._touch(lambda: self.changed_at.__setitem__((chat_id, message_id), self.sequence))

    async def wait_for_change(self, after: int, seconds: float) -> None:
        """Return when there is a change younger than `after`, or after so long."""
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: self.sequence > after)
            except TimeoutError:
                return

    def leave(self, person: User, chat: Chat, *, gone: bool) -> None:
        """The person blocks the bot or removes it from the chat, or takes that back."""
        (self.gone_from.add if gone else self.gone_from.discard)(chat.id)
        member, banned = (
            ChatMemberMember(user=BOT),
            ChatMemberBanned(user=BOT, until_date=datetime.fromtimestamp(0, UTC)),
        )
        self._tell_membership(person, chat, *((member, banned) if gone else (banned, member)))

    def upgrade(self, person: User, told: Iterable[Literal["left", "moved"]]) -> None:
        """The person makes a supergroup of the small group. Telegram tells it in several ways, one after the other."""
        self.upgraded = True
        for what in told:
            if what == "left":
                self._tell_membership(person, SMALL_GROUP, ChatMemberMember(user=BOT), ChatMemberLeft(user=BOT))
            else:
                self.tell_bot(message=self.new_message(SMALL_GROUP.id, person, migrate_to_chat_id=GROUP.id))

    def _tell_membership(self, person: User, chat: Chat, before: AnyMember, after: AnyMember) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.tell_bot(
            my_chat_member=ChatMemberUpdated(
                chat=chat, from_user=person, date=now, old_chat_member=before, new_chat_member=after
            )
        )

    def tell_bot(self, **what: Message | CallbackQuery | InlineQuery | ChatMemberUpdated) -> Update:
        """Queue an update for the bot."""
        self._next_update += 1
        update = Update(update_id=self._next_update, **what)  # type: ignore[arg-type]  # one field of many
        self.updates.append((time.time(), update))
        self._told.set()
        return update

    def tell_again(self, update: Update) -> None:
        """Queue an update a second time."""
        self.updates.append((time.time(), update))
        self.stir()

    def taken(self, update: Update) -> None:
        """The bot has it: it waits no longer."""
        first = next((place for place, (_, one) in enumerate(self.updates) if one is update), None)
        if first is not None:
            del self.updates[first]

    def stir(self) -> None:
        """Let who waits for updates look again."""
        self._told.set()

    async def wait_for_update(self, seconds: float) -> None:
        """Return when an update was queued, or after so long."""
        self._told.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return

    def drop_old_updates(self) -> None:
        """Telegram keeps updates for a bot that does not ask for them only so long."""
        now = time.time()
        self.updates = deque((t, u) for t, u in self.updates if now - t < UPDATE_LIFE[u.event_type])

    async def _touch(self, note: Callable[[], None]) -> None:
        async with self._changed:
            self.sequence += 1
            note()
            self._dirty = True
            self._changed.notify_all()

    def save(self) -> None:
        """Write everything down, if something changed since the last time."""
        if self._folder is None or not self._dirty:
            return
        self._dirty = False
        state = {
            "next_message": self._next_message,
            "next_update": self._next_update,
            "messages": [dump(message) for spot, message in self.messages.items() if spot not in self.only_for],
            "reactions": [[*spot, emoji] for spot, emoji in self.reactions.items()],
        }
        part = self._folder / "chats.json.part"
        part.write_text(json.dumps(state))
        part.rename(self._folder / "chats.json")

    def _load(self, folder: Path) -> None:
        path = folder / "chats.json"
        if not path.exists():
            return
        state = json.loads(path.read_text())
        self._next_message = state["next_message"]
        self._next_update = max(self._next_update, state["next_update"])
        for dumped in state["messages"]:
            message = Message.model_validate(dumped)
            self.messages[message.chat.id, message.message_id] = message
            self.sequence += 1
            self.changed_at[message.chat.id, message.message_id] = self.sequence
        self.reactions = {(chat, message): emoji for chat, message, emoji in state["reactions"]}
