"""Which processes of the bot there are, and which chat each of them looks after.

A chat is one process's at a time: only that one keeps its status messages and sends its files. A process shows by its
heartbeat that it lives; one whose heartbeat stands still is taken off by another, and its chats are free. Nothing here
expires by itself: while Redis is away nobody can show anything, and nobody is dead for that.

Keys
    manhwa:bot:processes    hash: id of each process -> its heartbeat, a number that grows while it lives
    manhwa:bot:chats        hash: chat -> id of the process that has it
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import cast

from redis.asyncio import Redis

PROCESSES = "manhwa:bot:processes"
CHATS = "manhwa:bot:chats"
RENEW = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {} end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
return redis.call('HGETALL', KEYS[1])
"""
TAKE_OFF = """
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local had = redis.call('HDEL', KEYS[1], ARGV[1])
local chats = redis.call('HGETALL', KEYS[2])
for n = 1, #chats, 2 do
  if chats[n + 1] == ARGV[1] then redis.call('HDEL', KEYS[2], chats[n]) end
end
return had
"""
TAKE = """
local taken = {}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return taken end
for n = 2, #ARGV do
  local owner = redis.call('HGET', KEYS[2], ARGV[n])
  if not owner or owner == ARGV[1] or redis.call('HEXISTS', KEYS[1], owner) == 0 then
    redis.call('HSET', KEYS[2], ARGV[n], ARGV[1])
    taken[#taken + 1] = ARGV[n]
  end
end
return taken
"""
RELEASE = """
for n = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[n]) == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[n]) end
end
"""


class TakenForDead(Exception):
    """Other processes do, or will do, what this one had in hand: say no more in its chats, and note no more."""


acting_as: ContextVar[str] = ContextVar("acting_as", default="")
"""Id of the process lease in whose name this task looks after a chat; empty in a task that needs none, such as a handler."""
handling_as: ContextVar[str] = ContextVar("handling_as", default="")
"""Id of the process lease in whose hand the update is that this task handles; the chat may be another process's."""


class Processes:
    """The processes' book."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._renew = redis.register_script(RENEW)
        self._take_off = redis.register_script(TAKE_OFF)
        self._take = redis.register_script(TAKE)
        self._release = redis.register_script(RELEASE)

    async def enter(self, process: str) -> None:
        """There is one more."""
        await self._redis.hset(PROCESSES, process, 0)

    async def renew(self, process: str) -> Mapping[str, str]:
        """Show that it lives; all there are with their heartbeats, none if it was taken for dead."""
        words = cast("list[str]", await self._renew(keys=[PROCESSES], args=[process]))
        return dict(zip(words[::2], words[1::2], strict=True))

    async def leave(self, process: str) -> None:
        """It ends, and its chats are free."""
        await self.take_off(process, "")

    async def take_off(self, process: str, heartbeat: str) -> bool:
        """It is dead, and its chats are free; False if its heartbeat is another one by now."""
        return bool(await self._take_off(keys=[PROCESSES, CHATS], args=[process, heartbeat]))

    async def take(self, process: str, chats: Iterable[int]) -> set[int]:
        """Which of the chats are that process's now: those of nobody, and those that were before."""
        taken = cast("list[str]", await self._take(keys=[PROCESSES, CHATS], args=[process, *chats]))
        return {int(chat) for chat in taken}

    async def release(self, process: str, chats: Iterable[int]) -> None:
        """Other processes may have them."""
        await self._release(keys=[CHATS], args=[process, *chats])
