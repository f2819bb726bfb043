"""Who follows which title, and how its new chapters are to come: one follow for each chat and title.

Keys
    manhwa:bot:follow:<chat>:<title>   hash: the fields of `Follow` as JSON
    manhwa:bot:follows-of:<chat>       zset of titles by time: what is followed there

What is new of a title, and how much of it each chat was told, the tasks keep: see `tasks.titles.store`. A chat is a follower
there by its id.
"""

import json
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

from redis.asyncio import Redis

from bot.destination import Destination
from bot.memory.once import ONCE, handling
from tasks.models import ArchiveFormat, Chapter, Manga, Value
from tasks.titles.store import TitleStore

KEY = "manhwa:bot:follow"
MOST_FOLLOWS = 500
"""Of one chat."""
ADD = """
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return -1 end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
return 1
"""
CHANGE = f"""{ONCE}
if redis.call('EXISTS', KEYS[1]) == 0 or made_before(ARGV[1]) then return end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
"""


class TooManyFollows(Exception):
    """The chat follows `MOST_FOLLOWS` titles already."""


class Way(StrEnum):
    """How new chapters come."""

    FILE = "file"
    NOTICE = "notice"
    """With a button that gets them."""


class Follow(Value):
    """A chat follows a title. `user_id` did it, who may change it, as admins of a group may; it is told in `spoken`.

    Of the chapters only those in `language` count, None = all; `group` comes first where it did them, one of the `groups` that
    there are. `format` None = what is chosen in that chat's settings.
    """

    manga: Manga
    chat_id: int
    thread_id: int | None = None
    user_id: int
    user_name: str = ""
    spoken: str = "en"
    language: str | None = None
    group: str | None = None
    groups: tuple[str, ...] = ()
    format: ArchiveFormat | None = None
    way: Way = Way.FILE
    paused: bool = False

    @property
    def destination(self) -> Destination:
        return Destination(chat_id=self.chat_id, thread_id=self.thread_id)


class Follows:
    """Keeps follows over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._titles = TitleStore(redis)
        self._add = redis.register_script(ADD)
        self._change = redis.register_script(CHANGE)

    async def add(self, follow: Follow, chapters: Sequence[Chapter] | None) -> bool:
        """Follow the title from now on; False if the chat does already, and nothing is changed.

        `chapters` are those that are no news; None = the first look finds out. Raises `TooManyFollows`.
        """
        chat_id, key = follow.chat_id, follow.manga.key
        keys = [_key(chat_id, key), _of(chat_id)]
        added = await self._add(
            keys=keys, args=[key, time.time(), MOST_FOLLOWS, *_words(follow.model_dump(mode="json"))]
        )
        if added < 0:
            raise TooManyFollows
        # Also where it was there before: a bot may have been killed in between.
        await self._titles.follow(follow.manga, str(chat_id), chapters)
        return bool(added)

    async def get(self, chat_id: int, key: str) -> Follow | None:
        """How the chat follows the title of that key; None if it does not."""
        fields = cast("dict[str, str]", await self._redis.hgetall(_key(chat_id, key)))
        try:
            return (
                Follow.model_validate({name: json.loads(value) for name, value in fields.items()}) if fields else None
            )
        except ValueError:
            return None

    async def is_there(self, chat_id: int, key: str) -> bool:
        """Whether the chat follows the title, be it in a way that this release can't read."""
        return bool(await self._redis.exists(_key(chat_id, key)))

    async def change(self, chat_id: int, key: str, **fields: Any) -> Follow | None:
        """Write these fields; the follow with them, None if there is none any more. Two at once each write their own."""
        await self._change(keys=[_key(chat_id, key)], args=["", *_words(fields)])
        if fields.get("paused") is False:
            await self._titles.remind(key, str(chat_id))
        return await self.get(chat_id, key)

    async def change_once(self, chat_id: int, key: str, **fields: Any) -> Follow | None:
        """The same once for an update: for what depends on how it was before."""
        await self._change(keys=[_key(chat_id, key)], args=[handling.get(), *_words(fields)])
        return await self.get(chat_id, key)

    async def remove(self, chat_id: int, key: str) -> bool:
        """Follow it no more; False if the chat did not."""
        await self._titles.unfollow(key, str(chat_id))
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zrem(_of(chat_id), key)
            pipeline.delete(_key(chat_id, key))
            removed, _ = await pipeline.execute()
        return bool(removed)

    async def keys_of(self, chat_id: int) -> list[str]:
        """Keys of the titles that the chat follows, the latest first."""
        return cast("list[str]", await self._redis.zrevrange(_of(chat_id), 0, -1))

    async def of(self, chat_id: int) -> list[Follow]:
        """What the chat follows, the latest first."""
        found = [await self.get(chat_id, key) for key in await self.keys_of(chat_id)]
        return [follow for follow in found if follow]

    async def forget(self, chat_id: int) -> None:
        """The chat follows nothing any more."""
        for key in await self.keys_of(chat_id):
            await self.remove(chat_id, key)

    async def forget_person(self, user_id: int) -> None:
        """What they follow themselves goes; what groups follow because of them stays the groups'."""
        await self.forget(user_id)
        async for name in self._redis.scan_iter(f"{KEY}:-*", count=1000):
            chat_id, key = name.removeprefix(f"{KEY}:").split(":")
            follow = await self.get(int(chat_id), key)
            if follow and follow.user_id == user_id:
                await self.change(int(chat_id), key, user_id=int(chat_id), user_name="")

    async def move(self, old_chat: int, new_chat: int) -> None:
        """The group became another chat: all that it follows comes there, to no topic."""
        for follow in await self.of(old_chat):
            key = follow.manga.key
            moved = follow.model_copy(update={"chat_id": new_chat, "thread_id": None})
            words = _words(moved.model_dump(mode="json"))
            await self._add(keys=[_key(new_chat, key), _of(new_chat)], args=[key, time.time(), MOST_FOLLOWS, *words])
            await self._titles.hand_on(key, str(old_chat), str(new_chat))
            await self.remove(old_chat, key)


def _key(chat_id: int, key: str) -> str:
    return f"{KEY}:{chat_id}:{key}"


def _of(chat_id: int) -> str:
    return f"{KEY}s-of:{chat_id}"


def _words(fields: Mapping[str, object]) -> list[str]:
    """Names and values, as Redis takes them for a hash."""
    return [word for name, value in fields.items() for word in (name, json.dumps(value))]
