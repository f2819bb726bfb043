"""Of those that want to upload the same file one does, on a real Redis; the others are of other processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.delivery import turns as module
from bot.delivery.status_message import sent_file
from bot.delivery.turns import Turns
from bot.memory import uploads
from bot.memory.shared import Shared
from bot.memory.uploads import Uploads
from bot.settings import BotSettings
from tasks.jobs.job import ArchiveFile, Job, JobState, Result
from tasks.models import Chapter, DownloadRequest
from tasks.resources import open_redis

FILE = ArchiveFile(name="Lantern - 1.zip", size=1000, chapters=("1",), pages=2)
JOB = Job(
    id="00000000000000a1",
    state=JobState.READY,
    request=DownloadRequest(source="demo", title="Lantern", chapters=(Chapter(id="1", number="1"),)),
    requester="following",
    key="key",
    attempt=1,
    fence=1,
    created_at=0,
    result=Result(files=(FILE,)),
)


@pytest.fixture
async def redis(settings: BotSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(uploads, "LEASE_SECONDS", 0.2)
    async with open_redis(settings.redis_url) as client:
        yield client


def turns(redis: Redis) -> Turns:
    """Those of one more process."""
    return Turns(Shared(redis), Uploads(redis))


async def copy_for(redis: Redis) -> str | None:
    """What another process gets: the id of Telegram's copy, or None where it is to upload."""
    async with turns(redis).turn(JOB, 1) as turn:
        return turn.copy.file_id if turn.copy else None


async def test_the_others_wait_and_get_telegram_s_copy(redis: Redis) -> None:
    async with turns(redis).turn(JOB, 1) as first:
        assert first.copy is None
        others = [asyncio.create_task(copy_for(redis)) for _ in range(5)]
        done, _ = await asyncio.wait(others, timeout=0.5)  # longer than a lease that nobody renews
        assert not done
        await Shared(redis).note(JOB, 1, sent_file(JOB, 1, "BQ-1"))
    assert await asyncio.gather(*others) == ["BQ-1"] * 5
    other_file = JOB.model_copy(update={"result": Result(files=(FILE.model_copy(update={"pages": 3}),))})
    async with turns(redis).turn(other_file, 1) as turn:
        assert turn.copy is None


async def test_where_the_first_meets_trouble_the_next_goes_ahead(redis: Redis) -> None:
    with pytest.raises(ValueError, match="blocked"):
        async with turns(redis).turn(JOB, 1):
            raise ValueError("blocked")
    assert await copy_for(redis) is None


async def test_where_the_first_dies_the_next_goes_ahead(redis: Redis) -> None:
    await Uploads(redis).take(f"{JOB.id}:1", "a dead one")
    assert await copy_for(redis) is None


async def test_where_the_first_does_not_get_on_the_next_goes_ahead(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.1)
    async with turns(redis).turn(JOB, 1):
        assert await copy_for(redis) is None


async def test_who_waits_no_longer_holds_up_nobody(redis: Redis) -> None:
    ours = turns(redis)
    async with ours.turn(JOB, 1):
        waiting = asyncio.create_task(ours.turn(JOB, 1).__aenter__())
        done, _ = await asyncio.wait({waiting}, timeout=0.05)
        assert not done
        waiting.cancel()
    assert await copy_for(redis) is None
