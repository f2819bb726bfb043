"""How sources do: whether they answer now, and how they did when they were really asked lately."""

import asyncio
from dataclasses import dataclass

from bot.language import say
from bot.texts import sentence
from tasks.errors import SourceError
from tasks.sources.health import Report
from tasks.sources.registry import Sources
from tasks.sources.source import Source

CHECK_SECONDS = 10.0


@dataclass(frozen=True)
class Standing:
    """A source, why it is down as a sentence (empty: it is up), and how it did lately.

    It is down while it does not answer, and also while what was really asked of it failed: some answer for a site that is
    gone.
    """

    source: Source
    trouble: str
    report: Report


async def standings(sources: Sources) -> list[Standing]:
    """Each source as it stands now, after `CHECK_SECONDS` at the latest."""
    return await asyncio.gather(*(_standing(source, sources) for source in sources.all()))


async def _standing(source: Source, sources: Sources) -> Standing:
    silent, report = await _silent(source), await sources.report(source)
    failing = sentence(report.failing, {"source": source.name}) if report.failing else ""
    return Standing(source, silent or failing, report)


async def _silent(source: Source) -> str:
    """Why the source does not answer now; empty if it does."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await source.check()
    except SourceError as error:
        return sentence(error.code, {**error.detail, "source": source.name})
    except TimeoutError:
        return say("no answer within {seconds} s", seconds=int(CHECK_SECONDS))
    return ""
