"""Which updates of Telegram came in, and which of them are not handled yet.

Telegram forgets an update once the next ones are asked for, or a webhook has answered, which is before its handler is done:
it is written down first.

Keys
    manhwa:bot:update:<id>    there for a day: this update came in; see also `once`
    manhwa:bot:inbox          hash: JSON of each update whose handling has not come to its end, by id
    manhwa:bot:inbox:with     hash: id of the process that has it in hand, by id
    manhwa:bot:inbox:tries    hash: how often it was begun anew, by id
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from aiogram.types import Update
from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.once import UPDATE_KEY
from bot.memory.processes import PROCESSES, TakenForDead
from bot.memory.reading import remembered

log = logging.getLogger(__name__)

INBOX = "manhwa:bot:inbox"
WITH = f"{INBOX}:with"
TRIES = f"{INBOX}:tries"
MOST_TRIES = 3
"""An update that was begun anew so often is given up, which is told: bots may have died over it."""
MOST_TELLS = 3
"""And so often it is tried to tell that."""
ONE_DAY = 24 * 3600
"""Telegram gives up delivering an update after that."""
UPDATE = TypeAdapter(Update)
RECEIVE = f"""
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then return end
local ours = {{}}
for n = 3, #ARGV, 2 do
  if redis.call('SET', '{UPDATE_KEY}' .. ARGV[n], '1', 'NX', 'EX', ARGV[1]) then
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
    redis.call('HSET', KEYS[2], ARGV[n], ARGV[2])
  end
  if redis.call('HGET', KEYS[2], ARGV[n]) == ARGV[2] then ours[#ours + 1] = ARGV[n] end
end
return ours
"""
DONE = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] or redis.call('HEXISTS', KEYS[4], ARGV[2]) == 0 then return 0 end
for n = 1, 3 do redis.call('HDEL', KEYS[n], ARGV[1]) end
return 1
"""
BEGIN_ANEW = """
local in_hand, left = {}, {}
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then return left end
for n = 3, #ARGV do in_hand[ARGV[n]] = true end
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  local with = redis.call('HGET', KEYS[2], id)
  local lives = with and redis.call('HEXISTS', KEYS[4], with) == 1
  if not lives or (with == ARGV[1] and not in_hand[id]) then
    local is_over = redis.call('HINCRBY', KEYS[3], id, 1) > tonumber(ARGV[2])
    redis.call('HSET', KEYS[2], id, ARGV[1])
    left[#left + 1] = id
    left[#left + 1] = is_over and '' or redis.call('HGET', KEYS[1], id)
  end
end
return left
"""


class Updates:
    """Keeps updates over restarts of the bot, and gives each to one process. `process` is the caller's id among them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._receive = redis.register_script(RECEIVE)
        self._done = redis.register_script(DONE)
        self._begin_anew = redis.register_script(BEGIN_ANEW)

    async def receive(self, process: str, updates: Iterable[Update]) -> set[int]:
        """Write down what came in; what came before is passed over. Ids of those which that process has in hand now.

        Raises `TakenForDead`; nothing is written then.
        """
        written = [word for update in updates for word in (str(update.update_id), _text(update))]
        if not written:
            return set()
        ours = await self._receive(keys=[INBOX, WITH, PROCESSES], args=[ONE_DAY, process, *written])
        if ours is None:
            raise TakenForDead
        return {int(one) for one in ours}

    async def tries(self, process: str, update_id: int) -> int | None:
        """How often it was begun anew; None where it is handled, or that process is not to do it."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hget(WITH, str(update_id))
            pipeline.hget(TRIES, str(update_id))
            owner, tries = cast("list[str | None]", await pipeline.execute())
        return int(tries or 0) if owner == process else None

    async def done(self, process: str, update_id: int) -> None:
        """Its handling has come to its end. Raises `TakenForDead` where it is not in that process's hand any more."""
        if not await self._done(keys=[INBOX, WITH, TRIES, PROCESSES], args=[update_id, process]):
            raise TakenForDead

    async def begin_anew(self, process: str, handling: Iterable[int]) -> list[Update]:
        """What was left, oldest first: by a process that died, or by this one, which is only `handling` these.

        All of it is in that process's hand now. One that was taken for dead itself gets nothing.
        """
        arguments: list[str | int] = [process, MOST_TRIES + MOST_TELLS, *handling]
        left = cast("list[str]", await self._begin_anew(keys=[INBOX, WITH, TRIES, PROCESSES], args=arguments))
        found = []
        for update_id, text in sorted(zip(left[::2], left[1::2], strict=True), key=lambda pair: int(pair[0])):
            if update := remembered(UPDATE, text or None):
                found.append(update)
            else:
                log.error("update %s is dropped: it %s", update_id, "can't be read" if text else "was begun too often")
                with suppress(TakenForDead):  # then it is dropped by whoever has it now
                    await self.done(process, int(update_id))
        return found


def _text(update: Update) -> str:
    # What was not in it stays out: some fields have defaults of aiogram that are for sending, and no JSON.
    return update.model_dump_json(by_alias=True, exclude_unset=True)
