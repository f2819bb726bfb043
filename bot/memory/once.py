"""Writes that lead somewhere else when they are made twice, such as toggles: each is made once for an update.

An update is handled anew after a process was killed over it, which may have been behind such a write.

Keys: those of `updates`; the one of an update says `written` once it led to such a write.
"""

from contextvars import ContextVar
from typing import cast

from redis.asyncio.client import Pipeline

UPDATE_KEY = "manhwa:bot:update:"
WRITTEN = "written"
ONCE = f"""
local function made_before(update)
  if update == '' then return false end
  if redis.call('GET', '{UPDATE_KEY}' .. update) == '{WRITTEN}' then return true end
  redis.call('SET', '{UPDATE_KEY}' .. update, '{WRITTEN}', 'XX', 'KEEPTTL')
  return false
end
"""
"""For scripts: whether the write was made for that update; if not, it is to be made now."""

handling: ContextVar[str] = ContextVar("handling", default="")
"""Id of the update that this task handles; empty in other tasks, whose writes are all made."""


async def made_before(pipeline: Pipeline) -> bool:
    """The same for a pipeline that watches what it is to write."""
    if not handling.get():
        return False
    await pipeline.watch(f"{UPDATE_KEY}{handling.get()}")
    return cast("str | None", await pipeline.get(f"{UPDATE_KEY}{handling.get()}")) == WRITTEN


def note_made(pipeline: Pipeline) -> None:
    """Part of that pipeline's transaction."""
    if handling.get():
        pipeline.set(f"{UPDATE_KEY}{handling.get()}", WRITTEN, xx=True, keepttl=True)
