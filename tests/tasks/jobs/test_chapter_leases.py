"""A chapter is fetched by one job at a time."""

import pytest

from tasks.jobs import chapter_leases
from tasks.jobs.chapter_leases import ChapterLeases
from tasks.jobs.store import JobStore, Lease


def leases(store: JobStore, job: str, fence: int = 1, disk: str = "disk") -> ChapterLeases:
    return ChapterLeases(store._redis, Lease(job, fence), disk)  # noqa: SLF001 - the client of the test


async def test_a_chapter_is_one_jobs_until_it_lets_go(store: JobStore) -> None:
    first, second = leases(store, "a"), leases(store, "b")
    assert await first.take("c1")
    assert await first.take("c1")
    assert not await second.take("c1")
    assert await second.take("c2")
    await second.release("c1")  # it is not theirs
    assert not await second.take("c1")
    await first.release("c1")
    assert await second.take("c1")
    await second.release_all()
    assert await first.take("c1")
    assert await first.take("c2")


async def test_a_later_attempt_is_somebody_else(store: JobStore) -> None:
    assert await leases(store, "a", 1).take("c1")
    assert not await leases(store, "a", 2).take("c1")


async def test_nobody_waits_for_a_chapter_that_comes_to_another_disk(store: JobStore) -> None:
    assert await leases(store, "a", disk="here").take("c1")
    assert await leases(store, "b", disk="there").take("c1")


async def test_who_died_holds_nothing_up(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive, other = leases(store, "dead"), leases(store, "alive"), leases(store, "other")
    monkeypatch.setattr(chapter_leases, "LEASE_SECONDS", 0.2)
    assert await dead.take("c1")
    assert await alive.take("c2")
    while not await other.take("c1"):
        await alive.renew()
    assert not await other.take("c2")


async def test_renewing_brings_nothing_back(store: JobStore) -> None:
    first, second = leases(store, "a"), leases(store, "b")
    assert await first.take("c1")
    # As it is where a chapter is let go of while the others are renewed.
    await leases(store, "a").release("c1")
    await first.renew()
    assert await second.take("c1")
