"""Who waits for which job, and where: one watcher for each job and chat, with its status message.

Keys
    manhwa:bot:watchers                set of `<job>:<chat>`: every watcher there is
    manhwa:bot:watcher:<job>:<chat>    hash: the fields of `Watcher`
    manhwa:bot:watchers-of:<user>      zset of `<job>:<chat>` by time: what a person waits for
    manhwa:bot:watchers-at:<job>       set of chats that wait for a job
    manhwa:bot:watchers:released       set of jobs that nobody waits for any more and that are to be let go of
"""

import time
from typing import Any, cast

from aiogram.types import ReplyParameters
from pydantic import field_validator
from redis.asyncio import Redis

from tasks.models import Value

KEY = "manhwa:bot:watcher"
NOTHING = "-"
"""What stands in a hash for None."""
ADD = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[3])
return 1
"""
UPDATE = """
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], unpack(ARGV, 2)) end
"""
REMOVE = """
local was_there = redis.call('SREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[2])
local others = redis.call('SCARD', KEYS[4])
if was_there == 1 and others == 0 then redis.call('SADD', KEYS[5], ARGV[3]) end
return others
"""


class Watcher(Value):
    """Someone who waits for a job in a chat.

    `asked_in` is the message that asked for it, `message_id` the status message once it is sent, `shown` a digest of
    what it says. `sent` is how many of the job's files went to the chat, `handed_over` that Telegram may have all of the
    next one but has not answered, `unsure` the numbers of those that it never answered for. `redirected` says that it is
    told in private because the bot may not write where it was asked.
    """

    job_id: str
    chat_id: int
    thread_id: int | None = None
    asked_in: int | None = None
    user_id: int
    user_name: str = ""
    message_id: int | None = None
    shown: str = ""
    sent: int = 0
    handed_over: bool = False
    unsure: tuple[int, ...] = ()
    redirected: bool = False
    cancelled_by: str = ""

    @field_validator("unsure", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return value.split() if isinstance(value, str) else value

    @property
    def key(self) -> str:
        return f"{self.job_id}:{self.chat_id}"

    @property
    def requester(self) -> str:
        """Whose quota the job counts against."""
        return f"telegram:{self.user_id}"

    @property
    def reply_to_request(self) -> ReplyParameters | None:
        """Makes a message an answer to the request; one that was deleted meanwhile does not matter."""
        if self.asked_in is None:
            return None
        return ReplyParameters(message_id=self.asked_in, allow_sending_without_reply=True)


class Watchers:
    """Keeps watchers over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(ADD)
        self._update = redis.register_script(UPDATE)
        self._remove = redis.register_script(REMOVE)

    async def add(self, watcher: Watcher) -> bool:
        """Note that the chat waits for the job; False if it does already."""
        fields = [word for pair in _fields(watcher).items() for word in pair]
        return bool(await self._add(keys=_keys(watcher), args=[watcher.key, time.time(), watcher.chat_id, *fields]))

    async def get(self, key: str) -> Watcher | None:
        """The watcher of that key, as it is now."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{KEY}:{key}"))
        known = {name: value for name, value in fields.items() if value != NOTHING}
        return Watcher.model_validate(known) if known else None

    async def all_keys(self) -> set[str]:
        return cast("set[str]", await self._redis.smembers(f"{KEY}s"))

    async def of_user(self, user_id: int) -> list[Watcher]:
        """What the person waits for, newest first."""
        keys = cast("list[str]", await self._redis.zrevrange(f"{KEY}s-of:{user_id}", 0, -1))
        found = [await self.get(key) for key in keys]
        return [watcher for watcher in found if watcher]

    async def at_job(self, job_id: str) -> list[Watcher]:
        """Everyone who waits for the job."""
        chats = cast("set[str]", await self._redis.smembers(f"{KEY}s-at:{job_id}"))
        found = [await self.get(f"{job_id}:{chat}") for chat in sorted(chats)]
        return [watcher for watcher in found if watcher]

    async def update(self, watcher: Watcher, **fields: object) -> Watcher:
        """Write the given fields; the watcher with them. One that was removed meanwhile stays removed."""
        changed = watcher.model_copy(update=fields)
        values = _fields(changed)
        words = [word for name in fields for word in (name, values[name])]
        await self._update(keys=[f"{KEY}s", f"{KEY}:{watcher.key}"], args=[watcher.key, *words])
        return changed

    async def remove(self, watcher: Watcher) -> bool:
        """Nothing more is to be told in this chat; whether it was the last one that waited for the job.

        Then the job is in `released` until it is `forgotten`.
        """
        keys = [*_keys(watcher), f"{KEY}s:released"]
        return not await self._remove(keys=keys, args=[watcher.key, watcher.chat_id, watcher.job_id])

    async def released(self) -> set[str]:
        """Ids of jobs that nobody waits for any more and that may not have been let go of yet."""
        return cast("set[str]", await self._redis.smembers(f"{KEY}s:released"))

    async def forget(self, job_id: str) -> None:
        """The job was let go of."""
        await self._redis.srem(f"{KEY}s:released", job_id)


def _keys(watcher: Watcher) -> list[str]:
    return [f"{KEY}s", f"{KEY}:{watcher.key}", f"{KEY}s-of:{watcher.user_id}", f"{KEY}s-at:{watcher.job_id}"]


def _fields(watcher: Watcher) -> dict[Any, Any]:
    return {name: _plain(value) for name, value in watcher.model_dump().items()}


def _plain(value: object) -> Any:
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return int(value) if isinstance(value, bool) else value
