"""Two leases side by side on a real Redis; their clocks are the test's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from bot import process_lease
from bot.memory.processes import PROCESSES, Processes, TakenForDead
from bot.process_lease import DEAD_SECONDS, SURE_SECONDS, ProcessLease
from bot.settings import BotSettings
from tasks.resources import open_redis
from tests.person import soon

CHAT = 101


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(process_lease, "time", clock)
    monkeypatch.setattr(process_lease, "RENEW_SECONDS", 0.01)
    return clock


@pytest.fixture
async def processes(settings: BotSettings) -> AsyncIterator[Processes]:
    async with open_redis(settings.redis_url) as redis:
        yield Processes(redis)


@pytest.fixture
async def silent(processes: Processes) -> str:
    """A process of another machine that has a chat and shows no heartbeat any more."""
    await processes.enter("elsewhere/1/2/3")
    await processes.take("elsewhere/1/2/3", [CHAT])
    return "elsewhere/1/2/3"


@pytest.mark.usefixtures("silent")
async def test_one_that_is_silent_for_long_is_dead(processes: Processes, clock: Clock) -> None:
    lease = ProcessLease(processes)
    async with lease.held():
        bell = lease.bell()
        assert await lease.take([CHAT]) == set()
        while not bell.is_set():
            clock.now += 0.5
            await renewal(lease)
        assert clock.now >= 1000 + DEAD_SECONDS
        assert await lease.take([CHAT]) == {CHAT}


async def renewal(lease: ProcessLease) -> None:
    """Wait until it was renewed once more."""
    await lease._answered.wait()  # noqa: SLF001 - nobody but a test wants to know


async def test_nobody_is_dead_because_redis_was_away(processes: Processes, clock: Clock, silent: str) -> None:
    lease = ProcessLease(processes)
    async with lease.held():
        await renewal(lease)
        clock.now += 10 * DEAD_SECONDS  # without one look at the others
        await renewal(lease)
        await renewal(lease)
        assert silent in await processes.renew(lease.id)


async def test_what_keeps_it_from_being_renewed_is_told(
    processes: Processes, settings: BotSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_lease, "DEAD_SECONDS", 0.2)
    async with ProcessLease(processes).held(), open_redis(settings.redis_url) as redis:
        await redis.client_pause(1500)
        await soon(lambda: "can't be renewed" in caplog.text, "it is told")
    assert "the lease of this process can't be renewed: Redis is silent" in caplog.messages


async def test_a_clean_end_frees_chats_at_once_and_ends_what_was_started(processes: Processes) -> None:
    one, two = ProcessLease(processes), ProcessLease(processes)
    free: list[set[int]] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            free.append(await two.take([CHAT]))

    async with two.held():
        async with one.held() as background:
            assert await one.take([CHAT]) == {CHAT}
            assert await two.take([CHAT]) == set()
            one.start(work())
            background.start(work())
            await asyncio.sleep(0)
        assert free == [set(), set()]
        assert await two.take([CHAT]) == {CHAT}


async def test_who_was_taken_for_dead_stops_and_begins_anew(processes: Processes, clock: Clock) -> None:
    lease = ProcessLease(processes)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lease.held())
        before, bell = lease.id, lease.bell()
        assert await lease.take([CHAT]) == {CHAT}
        working = lease.start(_forever())
        await lease.confirm(before)
        await processes.leave(before)
        await processes.enter("other")
        await processes.take("other", [CHAT])
        await asyncio.wait_for(bell.wait(), 10)
        assert (lease.id != before, lease.has(CHAT)) == (True, False)
        with suppress(asyncio.CancelledError):
            await working
        assert working.cancelled()
        with pytest.raises(TakenForDead):
            await lease.confirm(before)
        assert await lease.take([CHAT]) == set()


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_nothing_is_said_beyond_what_is_certain(
    processes: Processes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_lease, "RENEW_SECONDS", 3600.0)
    lease = ProcessLease(processes)
    async with lease.held():
        clock.now += SURE_SECONDS + 1
        speaking = asyncio.create_task(lease.confirm(lease.id))
        await asyncio.sleep(0)
        assert not speaking.done()
        await lease._renew()  # noqa: SLF001 - its clock's next tick
        await asyncio.wait_for(speaking, 10)


async def test_a_restart_on_the_same_machine_need_not_wait(processes: Processes, settings: BotSettings) -> None:
    lease = ProcessLease(processes)
    async with lease.held():
        machine, pid, start, word = lease.id.split("/")
        dead = "/".join((machine, pid, str(int(start) - 1), word))
        await processes.enter(dead)
        await processes.take(dead, [CHAT])
        async with open_redis(settings.redis_url) as redis:
            alive = [True]

            async def look() -> None:
                while alive[0]:
                    alive[0] = bool(await redis.hexists(PROCESSES, dead))

            looking = asyncio.create_task(look())
            await soon(lambda: not alive[0], "the dead one is gone")
            await looking
        assert await lease.take([CHAT]) == {CHAT}
