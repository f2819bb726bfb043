"""News on their way to chats that follow titles, as long as nobody brought them.

Keys
    manhwa:bot:parcels    hash: `<chat>:<title>:<number>:<word>` -> JSON of a `Parcel`; `<number>` counts the news of the title

`TitleStore.advance` puts a parcel in as it moves the chat on, so that nothing is told twice or not at all. It goes when it was
brought, or together with the watcher that takes its place: see `Watchers.add_for_news`.
"""

import secrets
from typing import Any, cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.processes import CHATS, TakenForDead, acting_as
from bot.memory.reading import remembered
from tasks.models import Chapter, DownloadRequest, Value

OUTBOX = "manhwa:bot:parcels"
CHANGE = """
if ARGV[3] ~= '' and redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return -1 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], ARGV[4], ARGV[5]) end
return 1
"""


class Parcel(Value):
    """New chapters of a title for one chat: those of the `request`, and those that can only be read `elsewhere`.

    `sent` of the request's files went to the chat from Telegram's copy; `tried` says that Telegram may have the next message,
    but has not answered. `origin` is the chat that follows where this goes to another one, as the bot may not write there.
    """

    request: DownloadRequest | None = None
    elsewhere: tuple[Chapter, ...] = ()
    sent: int = 0
    tried: bool = False
    origin: int | None = None

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """All that it tells of."""
        return (*(self.request.chapters if self.request else ()), *self.elsewhere)


PARCEL = TypeAdapter(Parcel)


def new_id(chat_id: int, title: str, number: int) -> str:
    """For a parcel of news up to that number."""
    return f"{chat_id}:{title}:{number}:{secrets.token_hex(4)}"


def chat_of(parcel_id: str) -> int:
    return int(parcel_id.partition(":")[0])


def title_of(parcel_id: str) -> str:
    return parcel_id.split(":")[1]


def order(parcel_id: str) -> tuple[str, int]:
    """The order in which parcels of a chat are brought."""
    _, title, number, _ = parcel_id.split(":")
    return title, int(number)


class Parcels:
    """The outbox. Changes raise `TakenForDead` where it is not this task's to look after the chat any more."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._change = redis.register_script(CHANGE)

    async def ids(self) -> list[str]:
        return cast("list[str]", await self._redis.hkeys(OUTBOX))

    async def chats(self) -> set[int]:
        """Where something is still to be brought."""
        return {chat_of(one) for one in await self.ids()}

    async def get(self, parcel_id: str) -> Parcel | None:
        """The parcel; None if it was brought, or this release can't read it."""
        return remembered(PARCEL, cast("str | None", await self._redis.hget(OUTBOX, parcel_id)))

    async def update(self, parcel_id: str, parcel: Parcel, **fields: Any) -> Parcel:
        """Write the given fields; the parcel with them. One that was removed meanwhile stays removed."""
        changed = parcel.model_copy(update=fields)
        await self._put(parcel_id, parcel_id, changed.model_dump_json())
        return changed

    async def remove(self, parcel_id: str) -> None:
        """It was brought, or is not to be."""
        await self._put(parcel_id, parcel_id, "")

    async def redirect(self, parcel_id: str, parcel: Parcel, chat_id: int) -> None:
        """Bring it to another chat, where nobody followed."""
        origin = parcel.model_copy(update={"origin": chat_of(parcel_id), "tried": False})
        await self._put(parcel_id, _moved(parcel_id, chat_id), origin.model_dump_json())

    async def forget(self, chat_id: int) -> None:
        """Nothing more is brought to the chat."""
        for one in await self._of(chat_id):
            await self.remove(one)

    async def move(self, old_chat: int, new_chat: int) -> None:
        """The group became another chat."""
        for one in await self._of(old_chat):
            text = cast("str | None", await self._redis.hget(OUTBOX, one))
            if text:
                await self._put(one, _moved(one, new_chat), text)

    async def _of(self, chat_id: int) -> list[str]:
        return [one for one in await self.ids() if chat_of(one) == chat_id]

    async def _put(self, parcel_id: str, new: str, text: str) -> None:
        args: list[str | int] = [parcel_id, chat_of(parcel_id), acting_as.get(), new, text]
        if await self._change(keys=[OUTBOX, CHATS], args=args) < 0:
            raise TakenForDead


def _moved(parcel_id: str, chat_id: int) -> str:
    return f"{chat_id}:{parcel_id.partition(':')[2]}"
