"""`/sources`: number, name, up or down, why."""

import asyncio

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import Message

from bot.language import say
from bot.texts import safe, sentence
from tasks.errors import SourceError
from tasks.sources.registry import Sources
from tasks.sources.source import Source

CHECK_SECONDS = 10.0


def router() -> Router:
    routes = Router(name="sources")
    routes.message.register(list_sources, Command("sources"))
    return routes


async def list_sources(message: Message, sources: Sources) -> None:
    lines = await asyncio.gather(*(source_line(source) for source in sources.all()))
    await message.reply("\n".join([f"<b>{say('Sources')}</b>", *lines]))


async def source_line(source: Source) -> str:
    """A source's number, name, and whether it is up, as HTML."""
    name = f"<code>{source.number}</code> {safe(source.name)}"
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await source.check()
    except SourceError as error:
        why = safe(sentence(error.code, {**error.detail, "source": source.name}))
        return f"🔴 {say('{source} – down: {why}', source=name, why=why)}"
    except TimeoutError:
        why = say("no answer within {seconds} s", seconds=int(CHECK_SECONDS))
        return f"🔴 {say('{source} – down: {why}', source=name, why=why)}"
    return f"🟢 {say('{source} – up', source=name)}"
