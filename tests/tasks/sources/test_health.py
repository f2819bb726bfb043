"""How sources do: noted from what is really asked, shown to all processes, and a pause for one that fails again and again."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import stamina
from redis.asyncio import Redis

from bot.settings import BotSettings
from tasks.errors import SourceBusy, SourceFailed, SourcePaused
from tasks.resources import open_redis
from tasks.sources.health import FIRST_PAUSE, PATIENCE, Health
from tasks.sources.pace import HostShut, Pace
from tasks.sources.registry import Sources, open_sources
from tests.web_server import Reply, WebServer, as_json

SEARCH = "/manga/mangapill/harbour?page=1"


@pytest.fixture
async def sources(settings: BotSettings, source_server: WebServer, redis: Redis) -> AsyncIterator[Sources]:
    source_server.reset()
    own = settings.model_copy(
        update={"mangapi_url": source_server.url, "consumet_providers": ("mangapill",), "source_rate_limit": 1000}
    )
    with stamina.set_testing(testing=True, attempts=1):
        async with open_sources(own, redis) as opened:
            yield opened


async def test_what_is_really_asked_is_what_is_told(sources: Sources, source_server: WebServer) -> None:
    source = sources.get("mangapill")
    source_server.on(SEARCH, as_json({"results": []}), as_json({}, 500))
    await source.search("harbour")
    for _ in range(2):
        with pytest.raises(SourceFailed):
            await source.search("harbour")
    report = await sources.report(source)
    assert (report.requests, report.answered, report.failing, report.paused) == (3, 1, "source_failed", 0)
    assert report.answered_at == pytest.approx(time.time(), abs=60)
    # A ping says nothing of it.
    source_server.on("/manga/mangapill", as_json({"intro": "hello"}))
    await source.check()
    assert (await sources.report(source)).failing == "source_failed"


async def test_a_source_that_fails_again_and_again_is_paused_and_tried_again(
    sources: Sources, source_server: WebServer, redis: Redis
) -> None:
    source = sources.get("mangapill")
    source_server.on(SEARCH, as_json({}, 500))
    for _ in range(PATIENCE):
        with pytest.raises(SourceFailed):
            await source.search("harbour")
    with pytest.raises(SourcePaused) as told:
        await source.search("harbour")
    assert 0 < int(told.value.detail["seconds"]) <= FIRST_PAUSE
    assert source_server.count(SEARCH) == PATIENCE
    # The pause is over, and one more failure makes the next one longer.
    await redis.delete("manhwa:sources:paused:mangapill")
    with pytest.raises(SourceFailed):
        await source.search("harbour")
    assert (await sources.report(source)).paused > FIRST_PAUSE
    await redis.delete("manhwa:sources:paused:mangapill")
    source_server.on(SEARCH, as_json({"results": []}))
    await source.search("harbour")
    report = await sources.report(source)
    assert (report.failing, report.paused) == (None, 0)


async def test_wrong_ids_do_not_pause_a_source(sources: Sources, source_server: WebServer) -> None:
    source = sources.get("mangapill")
    source_server.otherwise = as_json({"message": "Something went wrong. Please try again later."}, 500)
    for _ in range(2 * PATIENCE):
        with pytest.raises(SourceFailed):
            await source.details("nobody")
    report = await sources.report(source)
    assert (report.answered, report.failing, report.paused) == (0, None, 0)


async def test_only_the_last_requests_count(redis: Redis, settings: BotSettings) -> None:
    health = Health(redis)
    for _ in range(60):
        await health.note("x", 0.25)
    await health.note("x", 9.0, "source_down", is_failure=True)
    report = await health.report("x")
    assert (report.requests, report.answered, report.seconds) == (50, 49, 0.25)


async def test_all_processes_keep_the_limit_together(settings: BotSettings, redis: Redis) -> None:
    async with open_redis(settings.redis_url) as other:
        paces = [Pace(5, redis), Pace(5, other)]
        sent: list[float] = []

        async def ask(pace: Pace) -> None:
            await pace.slot("host")
            sent.append(time.monotonic())

        await asyncio.gather(*(ask(paces[n % 2]) for n in range(12)))
    # Of any six in a row, the last has to wait until the first is a second old.
    assert all(later - earlier > 0.9 for earlier, later in zip(sent, sent[5:], strict=False))


async def test_silence_that_one_is_asked_for_is_kept_by_all(settings: BotSettings, redis: Redis) -> None:
    await Pace(5, redis).shut("host", 4000)
    with pytest.raises(HostShut):
        await Pace(5, redis).slot("host")
    await Pace(5, redis).slot("another")


async def test_a_host_that_asked_one_process_to_wait_is_not_asked_by_others(
    sources: Sources, source_server: WebServer
) -> None:
    source_server.on(SEARCH, Reply(b"", status=429, headers={"Retry-After": "4000"}))
    for _ in range(3):
        with pytest.raises(SourceBusy):
            await sources.get("mangapill").search("harbour")
    assert source_server.count(SEARCH) == 1
