"""Which workers are alive: each tells so every few seconds, as long as its main process does anything at all.

Keys
    manhwa:workers    hash: a worker's name and process -> JSON: `queues` it serves, `free` bytes of its disk, `until_` when
                      that holds
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from tasks.models import Value

KEY = "manhwa:workers"
TELL_SECONDS = 2.0
GONE_SECONDS = 7
"""A worker that said nothing for so long is gone; its jobs go to others after about the same time."""
TELL = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({queues = ARGV[2], free = tonumber(ARGV[3]), until_ = now + ARGV[4]}))
"""
ALIVE = """
local now, alive = tonumber(redis.call('TIME')[1]), {}
local workers = redis.call('HGETALL', KEYS[1])
for place = 1, #workers, 2 do
  if cjson.decode(workers[place + 1]).until_ >= now then
    alive[#alive + 1] = workers[place]
    alive[#alive + 1] = workers[place + 1]
  else
    redis.call('HDEL', KEYS[1], workers[place])
  end
end
return alive
"""


class LiveWorker(Value):
    """A worker that is there: the queues it serves, and the bytes that are free on the disk it downloads to."""

    name: str
    queues: tuple[str, ...]
    free: int


def tell(client: Any, name: str, queues: Sequence[str], free: int) -> None:
    """The worker is there. `client` is Celery's own, which answers at once; raises redis errors."""
    client.eval(TELL, 1, KEY, name, " ".join(queues), free, GONE_SECONDS)


def leave(client: Any, name: str) -> None:
    """The worker stops in good order."""
    client.hdel(KEY, name)


class Presence:
    """Reads who is there."""

    def __init__(self, redis: Redis) -> None:
        self._alive = redis.register_script(ALIVE)

    async def workers(self) -> list[LiveWorker]:
        """Every worker that is alive."""
        found = cast("list[str]", await self._alive(keys=[KEY]))
        told: Mapping[str, str] = dict(zip(found[::2], found[1::2], strict=True))
        return [_worker(name, json.loads(text)) for name, text in sorted(told.items())]


def _worker(name: str, told: dict[str, Any]) -> LiveWorker:
    return LiveWorker(name=name, queues=tuple(told["queues"].split()), free=int(told["free"]))
