"""What a person waits for: the first sign of life, and the same chapters a second time, which somebody gets, has or had."""

import asyncio
import time
from pathlib import Path
from statistics import median

from bot.local.telegram import StandIn, serve
from tests.benchmarks.bot import bot_process
from tests.benchmarks.download import WARM, WIRE, consumet, one
from tests.benchmarks.installation import installation, quiet_disk
from tests.benchmarks.origin import PAGES, origin, told
from tests.benchmarks.report import Figure
from tests.person import JUNHO, MINA, Person

PAUSE = 2.0
"""Seconds between two of the same: Telegram's budget of a chat is full again."""


async def again(folder: Path, rounds: int) -> list[Figure]:
    """On disk, on Telegram, running."""
    return [*await _on_disk(folder / "disk", rounds), *await _in_the_chat(folder / "chat", rounds)]


async def _on_disk(folder: Path, rounds: int) -> list[Figure]:
    first, second = [], []
    async with origin(WIRE) as url, installation(folder, **consumet(url, CACHE_LIMIT_MB="5000")) as at, at.workers(1):
        await one(at, [WARM])
        for n in range(rounds):
            quiet_disk()
            chapters = range(100 * n, 100 * n + 7)
            first.append((await one(at, chapters))[0])
            asked = told(url)["pages"]
            quiet_disk()
            second.append((await one(at, list(chapters)))[0])
            asked = told(url)["pages"] - asked
    return [
        Figure("7 chapters for the first time", median(first), "s"),
        Figure("  in another archive, from disk", median(second), "s"),
        Figure("  requests for pages", asked, "", 0),
    ]


async def _in_the_chat(folder: Path, rounds: int) -> list[Figure]:
    async with (
        serve() as telegram,
        origin(WIRE) as url,
        installation(folder, **consumet(url, CACHE_LIMIT_MB="5000")) as at,
        at.workers(1, processes=2),
        bot_process(at, telegram),
        Person(telegram.url, MINA) as mina,
        Person(telegram.url, JUNHO) as junho,
    ):
        signs = [await _first_sign(mina, telegram, n) for n in range(rounds)]
        joined = await _together(mina, junho, url)
        uploads, asked = telegram.files.uploads, told(url)
        documents = [await _from_telegram(mina, telegram) for _ in range(rounds)]
        more = telegram.files.uploads - uploads + told(url)["pages"] - asked["pages"] + told(url)["lists"]
    return [
        Figure("tap on Download to the first status message", median(signs), "s", 0.5),
        Figure(f"two people ask for a chapter of {PAGES} pages at once, requests for them", joined, "", PAGES),
        Figure("known to Telegram: tap to document", median(documents), "s", 0.5),
        Figure("  uploads and requests to the source", more - asked["lists"], "", 0),
    ]


async def _first_sign(mina: Person, telegram: StandIn, number: int) -> float:
    """Seconds from a tap on `Download` to the message that tells of it."""
    sent = await mina.sends("/search harbour")
    await mina.presses(".", on=await mina.sees("title", after=sent))
    await mina.presses("Chapters", on=await mina.sees("Chapters: ", after=sent))
    picker = await mina.sees("Pick chapters, or answer", after=sent)
    await mina.presses(f"^{number + 1}$", on=picker)
    await mina.sees("Picked 1", after=sent)
    took = await _until_message(mina, telegram, r"Download \(1\)")
    await mina.sees("Done", after=sent)
    return took


async def _from_telegram(mina: Person, telegram: StandIn) -> float:
    """Seconds from a tap on `Get again` to the file."""
    sent = await mina.sends("/history")
    await mina.sees("^1. ", after=sent)
    return await _until_message(mina, telegram, "Get again 1")


async def _until_message(mina: Person, telegram: StandIn, button: str) -> float:
    await asyncio.sleep(PAUSE)
    started, seen = time.monotonic(), telegram.world.sequence
    pressing = asyncio.create_task(mina.presses(button))
    await telegram.world.wait_for_change(seen, 10)
    took = time.monotonic() - started
    await pressing
    return took


async def _together(mina: Person, junho: Person, url: str) -> int:
    """Requests for pages of a chapter that two people ask for at once, each with another one."""
    before = told(url)["pages"]
    sent = [await mina.sends("/download mangapill c700 c701"), await junho.sends("/download mangapill c701 c702")]
    for person, after in zip((mina, junho), sent, strict=True):
        await person.sees("Done", after=after)
    return int(told(url)["pages"] - before - 2 * PAGES)
