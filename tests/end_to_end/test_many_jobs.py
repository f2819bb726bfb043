"""Several jobs of one chat share what it may be told, and each comes to its turn."""

import re

from bot.local.telegram import StandIn
from bot.local.telegram.world import BOT
from bot.memory.watchers import Watcher, Watchers
from bot.settings import BotSettings
from tasks.jobs.job import Progress
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest
from tasks.resources import open_redis
from tests.conftest import on_database, running_bot
from tests.person import MINA, Person

JOBS = 4


async def job_with_a_message(store: JobStore, watchers: Watchers, telegram: StandIn, number: int) -> Lease:
    """A job that a worker is at, and its status message in Mina's chat."""
    request = DownloadRequest(source="demo", title=f"Tale {number}", chapters=(Chapter(id=f"t{number}", number="1"),))
    job_id, _, _ = await store.create_or_join(request, f"telegram:{number}", 5)
    lease, _ = await store.take_lease(job_id)
    assert lease
    shown = await telegram.world.put(telegram.world.new_message(MINA, BOT, text=f"Tale {number}"))
    await watchers.add(Watcher(job_id=job_id, chat_id=MINA, user_id=MINA, message_id=shown.message_id))
    return lease


async def test_each_of_several_jobs_comes_to_its_turn(
    bot_settings: BotSettings, telegram: StandIn, mina: Person
) -> None:
    # Nobody but this test works at what is in that database.
    settings = on_database(bot_settings, 2)
    async with open_redis(settings.redis_url) as redis:
        store, watchers = JobStore(redis), Watchers(redis)
        leases = [await job_with_a_message(store, watchers, telegram, number) for number in range(JOBS)]

        def texts() -> list[str]:
            return [message.text or "" for message in telegram.world.messages.values()]

        def told() -> set[str]:
            """Jobs that said more than at their start."""
            return {text.split(" · ")[0] for text in texts() if re.search(r"pages [1-9]\d*/100", text)}

        async with running_bot(settings):
            pages = 0

            async def work_on() -> None:
                nonlocal pages
                pages = min(pages + 1, 99)
                for lease in leases:
                    await store.keep_lease(lease, Progress(chapters_total=1, pages_done=pages, pages_total=100))

            await work_on()
            while len(told()) < JOBS:
                await work_on()
                await telegram.world.wait_for_change(telegram.world.sequence, 0.5)
            # The last that a worker said shows, though nothing more comes of it.
            for number, lease in enumerate(leases):
                await store.keep_lease(lease, Progress(chapters_total=1, pages_done=100, pages_total=100 + number))
            while not all(any(f"pages 100/{100 + number}" in text for text in texts()) for number in range(JOBS)):
                for lease in leases:
                    await store.keep_lease(lease)
                await telegram.world.wait_for_change(telegram.world.sequence, 0.5)
    assert await mina.breaches() == []
