"""What was fetched over HTTP, on a real Redis."""

from redis.asyncio import Redis

from bot.memory.fetches import Fetches

JOB = "0" * 16


async def test_all_of_it_counts_each_time_in_one_go_or_in_pieces(redis: Redis) -> None:
    fetches = Fetches(redis)
    for _ in range(3):
        await fetches.asked(JOB)
    assert await fetches.times(JOB) == (0, 3)
    # Two at once: nobody looks before both have it.
    for _ in range(2):
        await fetches.note(JOB, 0, 100, 100)
    assert await fetches.times(JOB) == (2, 3)
    for start, end in ((60, 100), (0, 50), (40, 59), (50, 60)):
        assert await fetches.times(JOB) == (2, 3)
        await fetches.note(JOB, start, end, 100)
    assert await fetches.times(JOB) == (3, 3)
    await fetches.note(JOB, 0, 99, 100)
    assert await fetches.times(JOB) == (3, 3)
