"""`/sources`: number, name, up or down, why, and how the source did lately."""

import time

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import Message

from bot.language import say
from bot.standing import Standing, standings
from bot.texts import duration, safe
from tasks.sources.health import Report
from tasks.sources.registry import Sources


def router() -> Router:
    routes = Router(name="sources")
    routes.message.register(list_sources, Command("sources"))
    return routes


async def list_sources(message: Message, sources: Sources) -> None:
    await message.reply("\n".join([f"<b>{say('Sources')}</b>", *await source_lines(sources)]))


async def source_lines(sources: Sources) -> list[str]:
    """A line of HTML for each source."""
    return [source_line(one) for one in await standings(sources)]


def source_line(standing: Standing) -> str:
    """A source's number, name, whether it is up, and how it did lately, as HTML."""
    name = f"<code>{standing.source.number}</code> {safe(standing.source.name)}"
    if standing.trouble:
        line = f"🔴 {say('{source} – down: {why}', source=name, why=safe(standing.trouble))}"
    else:
        line = f"🟢 {say('{source} – up', source=name)}"
    return " · ".join([line, *_facts(standing.report)])


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
