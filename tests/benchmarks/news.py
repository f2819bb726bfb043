"""What news cost: 1,000 chats that follow 200 titles of which 20 have a new chapter, and 1,000 chats that follow one title."""

import asyncio
import time
from collections import Counter
from pathlib import Path

from aiogram.types import Chat
from redis.asyncio import Redis

from bot.local.telegram import StandIn, serve
from tasks.models import Chapter, Manga
from tasks.resources import open_redis
from tests.benchmarks.bot import bot_process
from tests.benchmarks.download import WIRE, consumet
from tests.benchmarks.installation import installation
from tests.benchmarks.origin import origin, told
from tests.benchmarks.report import Figure
from tests.end_to_end.feed import Feed

CHATS = 1000
TITLES = 200
WITH_NEWS = 20
MESSAGES_A_SECOND = 20
"""As many as the bot allows itself."""


async def news(folder: Path, rounds: int) -> list[Figure]:
    """Many titles, and one that all follow."""
    return [
        *await _told(folder / "many", TITLES, WITH_NEWS, CHATS * WITH_NEWS // TITLES),
        *await _told(folder / "one", 1, 1, CHATS),
    ]


async def _told(folder: Path, titles: int, with_news: int, expected: int) -> list[Figure]:
    async with (
        serve() as telegram,
        origin(WIRE) as url,
        installation(folder, **consumet(url)) as at,
        at.workers(1, processes=2),
        open_redis(at.settings.redis_url) as redis,
    ):
        feeds = await _followed(telegram, redis, titles)
        async with bot_process(at, telegram) as process:
            await process.tells()
            started = time.monotonic()
            for number, feed in enumerate(feeds[:with_news]):
                await feed.brings(Chapter(id=f"c{900 + number}", number="1"))
            while len(telegram.world.messages) < expected:
                await asyncio.sleep(0.1)
            took, asked = time.monotonic() - started, told(url)
            await asyncio.sleep(3)  # whatever comes more than once has time to come
            running = await process.tells()
        chats = Counter(message.chat.id for message in telegram.world.messages.values() if message.document)
        jobs = await at.store.figures()
    return [
        Figure(f"{CHATS} chats, {titles} titles, {with_news} with news: jobs", sum(jobs.ends.values()), "", with_news),
        Figure("  lists of pages asked of the source", asked["lists"], "", with_news),
        Figure("  uploads", telegram.files.uploads, "", with_news),
        Figure("  messages", len(telegram.world.messages), "", expected),
        Figure(
            "  chats with just one file", sum(number == 1 for number in chats.values()), "", expected, at_least=True
        ),
        Figure("  until the last one", took, "s", 20 + expected / MESSAGES_A_SECOND),
        Figure("  lag of the bot, 99th percentile", running["lag_p99"], "ms"),
        Figure("  share of a CPU", running["cpu"]),
        Figure("  rules of Telegram broken", len(telegram.world.breaches), "", 0),
    ]


async def _followed(telegram: StandIn, redis: Redis, titles: int) -> list[Feed]:
    """Titles that the chats follow, as many each."""
    telegram.world.further_chats = tuple(Chat(id=10_000 + n, type="private", first_name="Reader") for n in range(CHATS))
    feeds = [Feed(redis, Manga(source="mangapill", id=f"tale-{n}", title=f"Tale {n}")) for n in range(titles)]
    for place, chat in enumerate(telegram.world.further_chats):
        await feeds[place % titles].followed_by(chat.id)
    return feeds
