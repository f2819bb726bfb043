"""Which updates of Telegram came in, and which of them are not handled yet.

Telegram forgets an update once the next ones are asked for, which is before its handler is done: it is written down first.

Keys
    manhwa:bot:update:<id>    there for a day: this update came in
    manhwa:bot:inbox          hash: JSON of each update whose handling has not come to its end, by id
    manhwa:bot:inbox:tries    hash: how often it was begun anew, by id
"""

from collections.abc import Container, Iterable
from typing import cast

from aiogram.types import Update
from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.reading import remembered

INBOX = "manhwa:bot:inbox"
TRIES = f"{INBOX}:tries"
MOST_TRIES = 3
"""An update that was begun so often is not touched again: bots may have died over it."""
ONE_DAY = 24 * 3600
"""Telegram gives up delivering an update after that."""
UPDATE = TypeAdapter(Update)
RECEIVE = """
for n = 2, #ARGV, 2 do
  if redis.call('SET', 'manhwa:bot:update:' .. ARGV[n], '1', 'NX', 'EX', ARGV[1]) then
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
  end
end
"""


class Updates:
    """Keeps updates over restarts of the bot, and tells those that come a second time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._receive = redis.register_script(RECEIVE)

    async def receive(self, updates: Iterable[Update]) -> None:
        """Write down what came in; what came before is passed over."""
        written = [word for update in updates for word in (str(update.update_id), _text(update))]
        if written:
            await self._receive(keys=[INBOX], args=[ONE_DAY, *written])

    async def is_open(self, update_id: int) -> bool:
        """Whether it came in and is not handled yet."""
        return bool(await self._redis.hexists(INBOX, str(update_id)))

    async def done(self, update_id: int) -> None:
        """Its handling has come to its end."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hdel(INBOX, str(update_id))
            pipeline.hdel(TRIES, str(update_id))
            await pipeline.execute()

    async def begin_anew(self, in_hand: Container[int]) -> list[Update]:
        """What is open and not in hand, oldest first: left by a bot that died, or by a Redis that was away for long."""
        inbox = cast("dict[str, str]", await self._redis.hgetall(INBOX))
        found = []
        for update_id in sorted((one for one in inbox if int(one) not in in_hand), key=int):
            if await self._redis.hincrby(TRIES, update_id, 1) > MOST_TRIES:
                await self.done(int(update_id))
            elif update := remembered(UPDATE, inbox[update_id]):
                found.append(update)
            else:
                await self.done(int(update_id))
        return found


def _text(update: Update) -> str:
    # What was not in it stays out: some fields have defaults of aiogram that are for sending, and no JSON.
    return update.model_dump_json(by_alias=True, exclude_unset=True)
