"""`/sources`: number, name, up or down, why, and how the source did lately."""

import asyncio
import time

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import Message

from bot.language import say
from bot.texts import duration, safe, sentence
from tasks.errors import SourceError
from tasks.sources.health import Report
from tasks.sources.registry import Sources
from tasks.sources.source import Source

CHECK_SECONDS = 10.0


def router() -> Router:
    routes = Router(name="sources")
    routes.message.register(list_sources, Command("sources"))
    return routes


async def list_sources(message: Message, sources: Sources) -> None:
    await message.reply("\n".join([f"<b>{say('Sources')}</b>", *await source_lines(sources)]))


async def source_lines(sources: Sources) -> list[str]:
    """A line of HTML for each source."""
    return await asyncio.gather(*(_line(source, sources) for source in sources.all()))


async def _line(source: Source, sources: Sources) -> str:
    return source_line(source, await _trouble(source), await sources.report(source))


async def _trouble(source: Source) -> str:
    """Why the source does not answer now; empty if it does."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await source.check()
    except SourceError as error:
        return sentence(error.code, {**error.detail, "source": source.name})
    except TimeoutError:
        return say("no answer within {seconds} s", seconds=int(CHECK_SECONDS))
    return ""


def source_line(source: Source, trouble: str, report: Report) -> str:
    """A source's number, name, whether it is up, and how it did lately, as HTML.

    It is down while it is in `trouble`, and also while what was really asked of it failed: some answer for a site that
    is gone.
    """
    name = f"<code>{source.number}</code> {safe(source.name)}"
    why = trouble or (sentence(report.failing, {"source": source.name}) if report.failing else "")
    if why:
        standing = f"🔴 {say('{source} – down: {why}', source=name, why=safe(why))}"
    else:
        standing = f"🟢 {say('{source} – up', source=name)}"
    return " · ".join([standing, *_facts(report)])


def _facts(report: Report) -> list[str]:
    facts = []
    if report.requests:
        figures = {"answered": report.answered, "requests": report.requests, "seconds": f"{report.seconds:.1f}"}
        facts.append(say("{answered} of {requests} answered, {seconds} s", **figures))
    if report.answered_at:
        ago = duration(max(1, int(time.time() - report.answered_at)))
        facts.append(say("last answer {time} ago", time=ago))
    if report.paused:
        facts.append(say("paused for {time}", time=duration(report.paused)))
    return facts
