"""Which chats have one message for all their downloads.

Keys
    manhwa:bot:boards                  set of `<chat>:<topic>`: every board there is; `<topic>` is empty where there is none
    manhwa:bot:board:<chat>:<topic>    hash: the fields of `Board`
"""

from typing import cast

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from bot.memory.processes import CHATS, TakenForDead, acting_as
from bot.memory.reading import fields_remembered
from tasks.models import Value

KEY = "manhwa:bot:board"
Place = tuple[int, int | None]
"""A chat, and the topic in it."""

KEEP_SECONDS = 24 * 3600
"""From the last time it was shown: nothing runs for so long."""
NOT_OURS = "if ARGV[2] ~= '' and redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[2] then return 0 end"
BEGIN = f"""{NOT_OURS}
redis.call('SADD', KEYS[1], ARGV[3])
redis.call('HSETNX', KEYS[2], 'language', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
"""
LOSE_MESSAGE = f"""{NOT_OURS}
redis.call('HDEL', KEYS[2], 'message_id', 'shown')
return 1
"""
NOTE = f"""{NOT_OURS}
redis.call('HSET', KEYS[2], 'message_id', ARGV[4], 'shown', ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[6])
return 1
"""
FORGET = f"""{NOT_OURS}
redis.call('SREM', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""


class Board(Value):
    """The message, and a digest of what it says."""

    language: str = "en"
    message_id: int | None = None
    shown: str = ""


class BoardMemory:
    """Keeps boards over restarts of the bot.

    Changes raise `TakenForDead` where it is not this task's to look after the chat any more; nothing is written then.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._begin = redis.register_script(BEGIN)
        self._lose_message = redis.register_script(LOSE_MESSAGE)
        self._note = redis.register_script(NOTE)
        self._forget = redis.register_script(FORGET)

    async def has(self, place: Place) -> bool:
        return bool(await self._redis.exists(_key(place)))

    async def get(self, place: Place) -> Board | None:
        fields = cast("dict[str, str]", await self._redis.hgetall(_key(place)))
        return fields_remembered(Board, fields) if fields else None

    async def begin(self, place: Place, language: str) -> None:
        """There is a board from now on; one that is there already stays as it is."""
        await self._write(self._begin, place, language, KEEP_SECONDS)

    async def lose_message(self, place: Place) -> None:
        """Its message was deleted: another one takes its place."""
        await self._write(self._lose_message, place)

    async def note(self, place: Place, message_id: int, shown: str) -> None:
        await self._write(self._note, place, message_id, shown, KEEP_SECONDS)

    async def forget(self, place: Place) -> None:
        await self._write(self._forget, place)

    async def all(self) -> list[Place]:
        """Where there are boards."""
        names = cast("set[str]", await self._redis.smembers(f"{KEY}s"))
        parted = (name.partition(":") for name in names)
        return [(int(chat), int(topic) if topic else None) for chat, _, topic in parted]

    async def _write(self, script: AsyncScript, place: Place, *values: str | int) -> None:
        keys = [f"{KEY}s", _key(place), CHATS]
        if not await script(keys=keys, args=[place[0], acting_as.get(), _name(place), *values]):
            raise TakenForDead


def _name(place: Place) -> str:
    return f"{place[0]}:{place[1] or ''}"


def _key(place: Place) -> str:
    return f"{KEY}:{_name(place)}"
