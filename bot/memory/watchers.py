"""Who waits for which job, and where: one watcher for each job and chat, with its status message.

Keys
    manhwa:bot:watchers                set of `<job>:<chat>`: every watcher there is
    manhwa:bot:watcher:<job>:<chat>    hash: the fields of `Watcher`, and `with:<id>` -> name of each who waits in that chat
    manhwa:bot:watchers-of:<user>      zset of `<job>:<chat>` by time: what a person waits for
    manhwa:bot:watchers-at:<job>       set of chats that wait for a job, and `HOLDERS` who keep it for those outside of chats
    manhwa:bot:watchers-in:<chat>      set of jobs that a chat waits for
    manhwa:bot:watchers:released       set of jobs that nobody waits for any more and that are to be let go of
    manhwa:bot:watchers:held           zset of `<job>:<holder>` by the time until which it is kept

Who waits for news of a followed title is nobody's in particular: see `Watcher.is_quiet`.

What any process may change is told in the stream of the jobs' events, for the process that looks after the chat.
"""

import time
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, cast

from pydantic import Field, ValidationError, field_validator
from redis.asyncio import Redis

from bot.destination import Destination
from bot.memory.once import ONCE, handling
from bot.memory.parcels import OUTBOX
from bot.memory.processes import CHATS, TakenForDead, acting_as
from tasks.jobs.job import VERSION, is_readable
from tasks.jobs.store import EVENTS
from tasks.models import Value

KEY = "manhwa:bot:watcher"
NOTHING = "\0"
"""What stands in a hash for None; nobody is called that."""
WITH = "with:"
TELL = """
local function tell(stream, job, watcher)
  redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', 'job', job, 'watcher', watcher)
end
"""
ADD = f"""{TELL}
local waits = redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1
if ARGV[6] ~= '' then
  if redis.call('HEXISTS', KEYS[7], ARGV[6]) == 0 then return -1 end
  if waits and redis.call('HGET', KEYS[2], 'cancelled_by') ~= '' then return -2 end
  redis.call('HDEL', KEYS[7], ARGV[6])
  if waits and ARGV[7] ~= '' then redis.call('HSET', KEYS[7], ARGV[6], ARGV[7]) end
end
if waits then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 8))
for n = 8, #ARGV, 2 do
  if string.sub(ARGV[n], 1, 5) == 'with:' then
    redis.call('ZADD', ARGV[5] .. string.sub(ARGV[n], 6), ARGV[2], ARGV[1])
  end
end
redis.call('SADD', KEYS[4], ARGV[3])
redis.call('SADD', KEYS[5], ARGV[4])
tell(KEYS[6], ARGV[4], ARGV[1])
return 1
"""
JOIN = f"""{TELL}
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 or redis.call('HGET', KEYS[2], 'cancelled_by') ~= '' then return 0 end
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
tell(KEYS[4], ARGV[5], ARGV[1])
return redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4])
"""
LEAVE = f"""{ONCE}{TELL}
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then return 0 end
if made_before(ARGV[5]) then return 1 end
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[1])
tell(KEYS[4], ARGV[4], ARGV[1])
for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(name, 1, 5) == 'with:' then
    if redis.call('HGET', KEYS[2], 'user_id') == string.sub(ARGV[2], 6) then
      redis.call('HSET', KEYS[2], 'user_id', string.sub(name, 6), 'user_name', redis.call('HGET', KEYS[2], name))
    end
    return 1
  end
end
if (redis.call('HGET', KEYS[2], 'follow') or '') ~= '' then return 1 end
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], 'cancelled_by', ARGV[3]) end
return 1
"""
CANCEL = f"""{TELL}
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return end
redis.call('HSET', KEYS[2], 'cancelled_by', ARGV[2])
tell(KEYS[3], ARGV[3], ARGV[1])
"""
UPDATE = """
if ARGV[3] ~= '' and redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[3] then return 0 end
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[2], unpack(ARGV, 4)) end
return 1
"""
REMOVE = """
local was_there = redis.call('SREM', KEYS[1], ARGV[1])
for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(name, 1, 5) == 'with:' then redis.call('ZREM', ARGV[4] .. string.sub(name, 6), ARGV[1]) end
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[2])
redis.call('SREM', KEYS[5], ARGV[3])
local others = redis.call('SCARD', KEYS[4])
if was_there == 1 and others == 0 then redis.call('SADD', KEYS[6], ARGV[3]) end
return others
"""

HOLD = """
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1] .. ':' .. ARGV[2])
redis.call('SADD', KEYS[2], ARGV[2])
return redis.call('SREM', KEYS[3], ARGV[1])
"""
RELEASE = """
local until_when = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1] .. ':' .. ARGV[2]) or 0)
if ARGV[3] ~= '' and until_when > tonumber(ARGV[3]) then return {0, 1} end
if KEYS[4] and redis.call('ZCOUNT', KEYS[4], '(' .. redis.call('TIME')[1], '+inf') > 0 then return {0, 1} end
redis.call('ZREM', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
local was_there = redis.call('SREM', KEYS[2], ARGV[2])
local others = redis.call('SCARD', KEYS[2])
if was_there == 1 and others == 0 then redis.call('SADD', KEYS[3], ARGV[1]) end
return {was_there, others}
"""


class Holder(StrEnum):
    """Who keeps a job besides chats."""

    API = "api"
    """A program that asked for it over the web API."""
    LINK = "link"
    """A link to one of its files that was sent to a chat."""


class Taken(IntEnum):
    """What became of a parcel of news for which a chat is to wait."""

    GONE = -1
    """Another process brought it."""
    LATER = -2
    """The chat just gives up what it waited for: it is still there."""
    JOINED = 0
    """The chat waits for the same already, because somebody asked."""
    ADDED = 1


class Watcher(Value):
    """Someone who waits for a job in a chat, and is told in that `language`.

    `joined` are the names of all who wait there, by their ids: who asked first, and who joined. `asked_in` is the message
    that asked for it, `message_id` the status message once it is sent, `shown` a digest of what it says. `sent` is how many
    of the job's files went to the chat, `handed_over` that Telegram may have all of the next one but has not answered,
    `unsure` the numbers of those that it never answered for. `redirected` says that it is told in private because the bot
    may not write where it was asked. `follow` is the key of the title that the chat follows, where its news are waited for, and
    `elsewhere` JSON of the new chapters that can only be read elsewhere.
    """

    version: int = VERSION
    job_id: str
    chat_id: int
    thread_id: int | None = None
    asked_in: int | None = None
    user_id: int
    user_name: str = ""
    language: str = "en"
    joined: dict[int, str] = Field(default_factory=dict)
    message_id: int | None = None
    shown: str = ""
    sent: int = 0
    handed_over: bool = False
    unsure: tuple[int, ...] = ()
    redirected: bool = False
    cancelled_by: str = ""
    follow: str = ""
    elsewhere: str = ""

    @field_validator("unsure", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return value.split() if isinstance(value, str) else value

    @property
    def key(self) -> str:
        return f"{self.job_id}:{self.chat_id}"

    @property
    def is_quiet(self) -> bool:
        """Whether nobody asked for it: only the file comes, and nothing is said of its way."""
        return bool(self.follow) and not self.joined

    @property
    def requester(self) -> str:
        """Whose quota the job counts against."""
        return f"telegram:{self.user_id}"

    @property
    def destination(self) -> Destination:
        return Destination(chat_id=self.chat_id, thread_id=self.thread_id, asked_in=self.asked_in)


@dataclass(frozen=True)
class Released:
    """What came of a release: whether it was held, and whether nobody is left who wants the job."""

    was_held: bool
    is_last: bool


class Watchers:
    """Keeps watchers over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(ADD)
        self._join = redis.register_script(JOIN)
        self._leave = redis.register_script(LEAVE)
        self._cancel = redis.register_script(CANCEL)
        self._update = redis.register_script(UPDATE)
        self._remove = redis.register_script(REMOVE)
        self._hold = redis.register_script(HOLD)
        self._release = redis.register_script(RELEASE)

    async def add(self, watcher: Watcher) -> bool:
        """Note that the chat waits for the job; False if it does already."""
        return await self._note(watcher, "", "") == Taken.ADDED

    async def add_for_news(self, watcher: Watcher, parcel_id: str, rest: str) -> Taken:
        """Let the watcher take the place of that parcel, so that it is brought once, whatever happens to this process.

        Where the chat waits for the same already, `rest` stays of the parcel; empty = nothing.
        """
        return await self._note(watcher, parcel_id, rest)

    async def _note(self, watcher: Watcher, parcel_id: str, rest: str) -> Taken:
        joined = watcher.joined or ({} if watcher.follow else {watcher.user_id: watcher.user_name})
        everything = _fields(watcher) | {f"{WITH}{user_id}": name for user_id, name in joined.items()}
        fields: list[Any] = [word for pair in everything.items() for word in pair]
        place: list[Any] = [watcher.key, time.time(), watcher.chat_id, watcher.job_id]
        args = [*place, f"{KEY}s-of:", parcel_id, rest, *fields]
        return Taken(await self._add(keys=[*_keys(watcher), EVENTS, OUTBOX], args=args))

    async def join(self, watcher: Watcher, user_id: int, name: str) -> bool:
        """Note that somebody else waits there as well; False if they do already, or it is over."""
        keys = [f"{KEY}s", f"{KEY}:{watcher.key}", f"{KEY}s-of:{user_id}", EVENTS]
        args: list[Any] = [watcher.key, time.time(), f"{WITH}{user_id}", name, watcher.job_id]
        return bool(await self._join(keys=keys, args=args))

    async def leave(self, watcher: Watcher, user_id: int, name: str, *, once: bool = False) -> bool:
        """One of those who wait there does not any more; False if they did not before.

        Where they asked first, one who joined takes their place; where nobody is left, it is cancelled for the chat, unless the
        chat follows the title. With `once` nothing happens where this update led to such an end before.
        """
        keys = [f"{KEY}s", f"{KEY}:{watcher.key}", f"{KEY}s-of:{user_id}", EVENTS]
        args = [watcher.key, f"{WITH}{user_id}", name, watcher.job_id, handling.get() if once else ""]
        return bool(await self._leave(keys=keys, args=args))

    async def cancel(self, watcher: Watcher, by: str) -> None:
        """Nobody waits there any more, says who is called that. One that was removed meanwhile stays removed."""
        keys = [f"{KEY}s", f"{KEY}:{watcher.key}", EVENTS]
        await self._cancel(keys=keys, args=[watcher.key, by, watcher.job_id])

    async def get(self, key: str) -> Watcher | None:
        """The watcher of that key, as it is now; None if there is none, or none that this release can read."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{KEY}:{key}"))
        joined = {int(name.removeprefix(WITH)): fields.pop(name) for name in list(fields) if name.startswith(WITH)}
        known = {name: value for name, value in fields.items() if value != NOTHING}
        try:
            watcher = Watcher.model_validate({"version": 1, **known, "joined": joined}) if known else None
        except ValidationError:
            return None
        return watcher if watcher and is_readable(watcher.version) else None

    async def is_there(self, key: str) -> bool:
        """Whether somebody waits there, be it one that this release can't read."""
        return bool(await self._redis.sismember(f"{KEY}s", key))

    async def all_keys(self) -> set[str]:
        return cast("set[str]", await self._redis.smembers(f"{KEY}s"))

    async def of_user(self, user_id: int) -> list[Watcher]:
        """What the person waits for, newest first."""
        keys = cast("list[str]", await self._redis.zrevrange(f"{KEY}s-of:{user_id}", 0, -1))
        found = [await self.get(key) for key in keys]
        return [watcher for watcher in found if watcher]

    async def in_chat(self, chat_id: int) -> list[Watcher]:
        """What is waited for in the chat, by the ids of the jobs."""
        jobs = cast("set[str]", await self._redis.smembers(f"{KEY}s-in:{chat_id}"))
        found = [await self.get(f"{job_id}:{chat_id}") for job_id in sorted(jobs)]
        return [watcher for watcher in found if watcher]

    async def at_job(self, job_id: str) -> list[Watcher]:
        """Everyone who waits for the job."""
        chats = cast("set[str]", await self._redis.smembers(f"{KEY}s-at:{job_id}"))
        found = [await self.get(f"{job_id}:{chat}") for chat in sorted(chats - set(Holder))]
        return [watcher for watcher in found if watcher]

    async def update(self, watcher: Watcher, **fields: object) -> Watcher:
        """Write the given fields; the watcher with them. One that was removed meanwhile stays removed.

        Raises `TakenForDead` where it is not this task's to look after the chat any more; nothing is written then.
        """
        changed = watcher.model_copy(update=fields)
        values = _fields(changed)
        words = [word for name in fields for word in (name, values[name])]
        keys = [f"{KEY}s", f"{KEY}:{watcher.key}", CHATS]
        if not await self._update(keys=keys, args=[watcher.key, watcher.chat_id, acting_as.get(), *words]):
            raise TakenForDead
        return changed

    async def remove(self, watcher: Watcher) -> bool:
        """Nothing more is to be told in this chat; whether it was the last one that waited for the job.

        Then the job is in `released` until it is `forgotten`.
        """
        keys = [*_keys(watcher), f"{KEY}s:released"]
        args: list[str | int] = [watcher.key, watcher.chat_id, watcher.job_id, f"{KEY}s-of:"]
        return not await self._remove(keys=keys, args=args)

    async def hold(self, job_id: str, holder: Holder, until: float) -> bool:
        """Keep the job, as long as nobody `release`s it, at least until that time; once more moves the time.

        False if it was among the `released`: then somebody lets go of it right now.
        """
        return not await self._hold(keys=_hold_keys(job_id), args=[job_id, holder, until])

    async def release(
        self, job_id: str, holder: Holder, held_until: float | None = None, fetching: str | None = None
    ) -> Released:
        """Keep the job no longer; the last one puts it among the `released`, as `remove` does.

        Nothing happens where it is to be kept longer than `held_until` by now, or somebody is in `fetching`, the key of those
        who fetch it.
        """
        keys = [*_hold_keys(job_id), *([fetching] if fetching else [])]
        args = [job_id, holder, "" if held_until is None else held_until]
        was_there, others = await self._release(keys=keys, args=args)
        return Released(bool(was_there), is_last=not others)

    async def is_held(self, job_id: str) -> bool:
        """Whether somebody outside of chats wants the job."""
        return any(await self._redis.smismember(f"{KEY}s-at:{job_id}", list(Holder)))

    async def held_until(self, now: float) -> list[tuple[str, Holder]]:
        """What was to be kept until that time or before: jobs, and who kept them."""
        found = cast("list[str]", await self._redis.zrange(f"{KEY}s:held", "-inf", now, byscore=True))
        return [(one.partition(":")[0], Holder(one.partition(":")[2])) for one in found]

    async def released(self) -> set[str]:
        """Ids of jobs that nobody waits for any more and that may not have been let go of yet."""
        return cast("set[str]", await self._redis.smembers(f"{KEY}s:released"))

    async def is_released(self, job_id: str) -> bool:
        """Whether nobody waits for the job any more, and it was not let go of yet."""
        return bool(await self._redis.sismember(f"{KEY}s:released", job_id))

    async def forget(self, job_id: str) -> None:
        """The job was let go of."""
        await self._redis.srem(f"{KEY}s:released", job_id)


def _keys(watcher: Watcher) -> list[str]:
    return [
        f"{KEY}s",
        f"{KEY}:{watcher.key}",
        f"{KEY}s-of:{watcher.user_id}",
        f"{KEY}s-at:{watcher.job_id}",
        f"{KEY}s-in:{watcher.chat_id}",
    ]


def _hold_keys(job_id: str) -> list[str]:
    return [f"{KEY}s:held", f"{KEY}s-at:{job_id}", f"{KEY}s:released"]


def _fields(watcher: Watcher) -> dict[Any, Any]:
    return {name: _plain(value) for name, value in watcher.model_dump(exclude={"joined"}).items()}


def _plain(value: object) -> Any:
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return int(value) if isinstance(value, bool) else value
