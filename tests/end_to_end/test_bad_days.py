"""What goes wrong, with real processes: sources, workers, the bot, Telegram."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest
from celery import Celery
from celery.result import AsyncResult
from pydantic import SecretStr
from redis import Redis

from bot.local.redis_server import is_live
from bot.local.telegram import StandIn
from bot.middlewares import Polite
from bot.settings import BotSettings
from tasks.jobs.store import JobStore
from tasks.resources import open_redis
from tests.conftest import StartWorker, beside, children, process, running_bot
from tests.end_to_end.shelf import SEARCH, Shelf, image, make_large
from tests.person import GROUP, JUNHO, SMALL_GROUP, SOFIA, Person, soon
from tests.web_server import Reply, WebServer, as_json


def open_store(settings: BotSettings) -> Redis:
    return Redis(unix_socket_path=str(settings.redis_socket), db=1, decode_responses=True)


def folders(settings: BotSettings) -> list[Path]:
    jobs = settings.data_path / "jobs"
    return list(jobs.iterdir()) if jobs.exists() else []


@pytest.mark.usefixtures("consumet_worker", "consumet_bot")
class TestSources:
    async def test_pages_that_can_not_be_had_are_named(self, mina: Person, shelf: Shelf, tmp_path: Path) -> None:
        shelf.has(1, 2, Reply(b"gone", status=404, content_type="text/plain"))
        shelf.has(2, 1, Reply(b"<html>Just a moment</html>", content_type="text/html"))
        shelf.has(3, 1, image(shelf.pictures["3-1"][:900]))
        await mina.sends(shelf.command(1, 2, 3))
        file = await mina.receives_document()
        for line in ("ch 1, page 2: the page is gone", "ch 2, page 1: the page is no whole picture", "ch 3, page 1"):
            assert line in file["caption"]
        with zipfile.ZipFile(await mina.saves(file, tmp_path / "got.zip")) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            assert archive.read("Chapter 0001/001.jpg") == shelf.pictures["1-1"]
            assert len(archive.namelist()) == 4
        assert [(one["chapter"], one["pages"], one["failure"]["code"]) for one in manifest["missing"]] == [
            ("1", [2], "page_gone"),
            ("2", [1], "page_broken"),
            ("3", [1], "page_broken"),
        ]
        await mina.sees("Missing")

    async def test_a_source_that_goes_away_in_mid_page_is_named(self, mina: Person, shelf: Shelf) -> None:
        shelf.has(2, 2, image(shelf.pictures["2-2"], cut=900))
        shelf.server.on(shelf.list_of(3), Reply(b"[]", cut=0))
        await mina.sends(shelf.command(1, 2, 3))
        file = await mina.receives_document()
        assert "ch 2, page 2: the page is no whole picture" in file["caption"]
        assert "ch 3: The source mangapill does not answer right now" in file["caption"]

    async def test_a_page_that_fails_at_first_is_fetched_again(self, mina: Person, shelf: Shelf) -> None:
        whole = image(shelf.pictures["1-1"])
        cut = image(shelf.pictures["1-1"], cut=500)
        shelf.has(1, 1, Reply(status=503, headers={"Retry-After": "0"}), cut, whole)
        await mina.sends(shelf.command(1))
        assert "2 pages" in (await mina.receives_document())["caption"]
        assert shelf.server.count("/1-1.jpg") == 3

    async def test_private_addresses_are_not_asked(self, mina: Person, shelf: Shelf) -> None:
        with WebServer() as neighbour:
            neighbour.on("/secret.jpg", image(shelf.pictures["1-1"]))
            shelf.lists(1, f"{neighbour.url}/secret.jpg", "file:///etc/passwd", f"{shelf.server.url}/1-1.jpg")
            await mina.sends(shelf.command(1))
            file = await mina.receives_document()
            assert neighbour.requests == []
        assert "ch 1, pages 1, 2: the page's address is not allowed" in file["caption"]

    async def test_nothing_found_and_not_reached_are_two_sentences(self, mina: Person, shelf: Shelf) -> None:
        shelf.server.on("/manga/mangapill/nobody?page=1", as_json({"results": []}))
        sent = await mina.sends("nobody")
        await mina.sees("Nothing found for “nobody”", after=sent)
        shelf.server.on("/manga/mangapill/harbour?page=1", as_json({"message": "Something went wrong."}, 500))
        sent = await mina.sends("harbour")
        await mina.sees("No source answered", after=sent)

    async def test_a_job_without_a_page_fails_with_a_sentence_and_can_be_tried_again(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings
    ) -> None:
        for page in (1, 2):
            shelf.has(1, page, Reply(status=404))
        sent = await mina.sends(shelf.command(1))
        failed = await mina.sees("❌ Failed · Not one page could be had", after=sent)
        await soon(lambda: folders(consumet_bot) == [], "the job's folder is gone")
        for page in (1, 2):
            shelf.has(1, page, image(shelf.pictures[f"1-{page}"]))
        await mina.presses("Retry", on=failed)
        await mina.receives_document("Harbour Lights - 1")


@pytest.mark.usefixtures("consumet_bot")
class TestDisk:
    async def test_a_job_that_would_not_fit_is_not_started(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings, start_worker: StartWorker, consumet: dict[str, str]
    ) -> None:
        async with open_redis(consumet_bot.redis_url) as redis:
            await JobStore(redis).remember_finished(1, 1e15)
        with start_worker("small", **consumet):
            await mina.sends(shelf.command(1))
            await mina.sees("❌ Failed · The disk has no room: about 2000000100 MB are needed")
        assert not shelf.server.count("/1-1.jpg")

    async def test_a_disk_that_fills_up_ends_the_job_and_gets_its_room_back(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings, start_worker: StartWorker, consumet: dict[str, str]
    ) -> None:
        make_large(shelf)
        with start_worker("full", **consumet) as worker:
            # The pages fit, the archive does not.
            for child in children(worker.pid):
                resource.prlimit(child, resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
            await mina.sends(shelf.command(1, 2, 3))
            failed = await mina.sees("❌ Failed · The disk is full")
            await soon(lambda: folders(consumet_bot) == [], "the job's folder is gone")
            for child in children(worker.pid):
                resource.prlimit(child, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            await mina.presses("Retry", on=failed)
            await mina.receives_document()


@pytest.mark.usefixtures("consumet_worker", "consumet_bot")
class TestCancel:
    async def test_a_running_job_stops_and_leaves_nothing(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        sent = await mina.sends(shelf.command(1))
        await mina.sees("pages 1/2", after=sent)
        assert (await mina.presses("Cancel"))["text"] == "Cancelling …"
        await mina.sees("✖ Cancelled by Mina Park", after=sent)
        await soon(lambda: folders(consumet_bot) == [], "the job's folder is gone")
        let_go.set()
        sent = await mina.sends("/jobs")
        await mina.sees("You have no downloads running", after=sent)

    async def test_an_onlooker_sees_progress_and_the_end_in_celery(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await mina.sends(shelf.command(1, 2))
        await mina.sees("pages 3/4")
        job_id = folders(consumet_bot)[0].name
        with Celery("onlooker", broker=consumet_bot.broker_url, backend=consumet_bot.result_backend) as onlooker:
            result: AsyncResult[dict[str, object]] = AsyncResult(job_id, app=onlooker)
            await soon(
                lambda: str(result.state) == "PROGRESS" and result.info["pages_done"] == 3, "the task's progress"
            )
            assert result.info == {
                "status": "downloading",
                "progress": 75,
                "total_chapters": 2,
                "chapters_done": 1,
                "pages_done": 3,
                "pages_total": 4,
                "bytes": sum(len(shelf.pictures[page]) for page in ("1-1", "2-1", "2-2")),
            }
            await mina.presses("Cancel")
            await soon(lambda: str(result.state) == "REVOKED", "the task's end")
            let_go.set()
            shelf.lists(3)
            await mina.sends(shelf.command(3))
            await mina.sees("Failed")
            with open_store(consumet_bot) as redis:
                failed = next(key for key in redis.scan_iter("manhwa:job:????????????????") if job_id not in key)
            other: AsyncResult[dict[str, object]] = AsyncResult(failed.rpartition(":")[2], app=onlooker)
            await soon(lambda: other.state == "FAILURE", "the other task's failure")

    async def test_in_a_group_only_the_requester_or_an_admin_cancels(
        self, junho_in_group: Person, sofia_in_group: Person, mina_in_group: Person, shelf: Shelf
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await junho_in_group.sends(shelf.command(1))
        status = await junho_in_group.sees("pages 1/2")
        assert "Only who asked for it" in (await sofia_in_group.presses("Cancel", on=status))["text"]
        await mina_in_group.presses("Cancel", on=status)
        await junho_in_group.sees("Cancelled by Mina Park")
        let_go.set()

    async def test_one_of_two_who_wait_cancels_only_for_themselves(
        self, mina: Person, junho_in_group: Person, shelf: Shelf
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await mina.sends(shelf.command(1))
        await mina.sees("pages 1/2")
        await junho_in_group.sends(shelf.command(1))
        await junho_in_group.sees("pages 1/2")
        await mina.sends("/cancel")
        await mina.sees("Cancelled by Mina")
        let_go.set()
        await junho_in_group.receives_document()


async def _has_a_page(settings: BotSettings) -> None:
    """Wait until a worker has told of the first page; in the chat it may come too late for what is to happen next."""
    async with open_redis(settings.redis_url) as redis, asyncio.timeout(40):
        store = JobStore(redis)
        async for event in store.events("0-0"):
            job = await store.read(event.job_id)
            if job and job.progress.pages_done:
                return


class TestKills:
    @pytest.mark.usefixtures("consumet_bot")
    async def test_a_queued_job_is_cancelled_before_any_worker_comes(self, mina: Person, shelf: Shelf) -> None:
        sent = await mina.sends(shelf.command(1))
        await mina.sees("Queued · position 1", after=sent)
        sent = await mina.sends("/jobs")
        listed = await mina.sees("Queued · position 1", after=sent)
        await mina.presses("Cancel", on=listed)
        await mina.sees("Cancelled by Mina")

    async def test_a_job_that_takes_too_long_delivers_what_it_has_and_retry_fetches_the_rest(
        self,
        mina: Person,
        shelf: Shelf,
        consumet_bot: BotSettings,
        start_worker: StartWorker,
        consumet: dict[str, str],
        tmp_path: Path,
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        shelf.server.on(shelf.list_of(3), Reply(wait_for=let_go))
        with start_worker("hurried", **consumet, TASK_SOFT_TIME_LIMIT="2", TASK_TIME_LIMIT="30"):
            sent = await mina.sends(shelf.command(1, 2, 3))
            file = await mina.receives_document()
            for line in ("ch 1, page 2: It took longer than 2 seconds", "ch 3: It took longer than 2 seconds"):
                assert line in file["caption"]
            done = await mina.sees("✅ Done · 3 pages", after=sent)
            let_go.set()
            shelf.lists(3, f"{shelf.server.url}/3-1.jpg")
            asked = shelf.server.count("/2-1.jpg"), shelf.server.count("/1-1.jpg")
            await mina.presses("Retry", on=done)
            rest = await mina.receives_document(after=file["message_id"])
            assert (shelf.server.count("/2-1.jpg"), shelf.server.count("/1-1.jpg")) == asked
            assert rest["document"]["file_name"] == "Harbour Lights - 1, 3 (missing pages).zip"
            with zipfile.ZipFile(await mina.saves(rest, tmp_path / "rest.zip")) as archive:
                assert archive.namelist() == ["Chapter 0001/002.jpg", "Chapter 0003/001.jpg", "manifest.json"]
                assert json.loads(archive.read("manifest.json"))["missing"] == []
            await soon(lambda: folders(consumet_bot) == [], "the jobs' folders are gone")

    async def test_a_job_with_nothing_in_time_fails(
        self, mina: Person, shelf: Shelf, consumet_bot: BotSettings, start_worker: StartWorker, consumet: dict[str, str]
    ) -> None:
        let_go = threading.Event()
        shelf.server.on(shelf.list_of(1), Reply(wait_for=let_go))
        with start_worker("hurried", **consumet, TASK_SOFT_TIME_LIMIT="2", TASK_TIME_LIMIT="30"):
            await mina.sends(shelf.command(1))
            await mina.sees("❌ Failed · Not one page could be had: It took longer than 2 seconds")
            await soon(lambda: folders(consumet_bot) == [], "the job's folder is gone")
        let_go.set()

    async def test_a_worker_killed_at_the_hard_limit_leaves_a_sentence_and_no_file(
        self,
        mina: Person,
        shelf: Shelf,
        consumet_settings: BotSettings,
        start_worker: StartWorker,
        consumet: dict[str, str],
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        limits = {"TASK_SOFT_TIME_LIMIT": "4", "TASK_TIME_LIMIT": "5"}
        settings = consumet_settings.model_copy(update={"task_time_limit": 5})
        with start_worker("stuck", **consumet, **limits) as stuck:
            async with running_bot(settings):
                sent = await mina.sends(shelf.command(1))
                await _has_a_page(settings)
                for child in children(stuck.pid):
                    os.kill(child, signal.SIGSTOP)
                await mina.sees("❌ Failed · It took longer than 5 seconds", after=sent)
                for child in children(stuck.pid):  # the one that had no job is to clean up
                    os.kill(child, signal.SIGCONT)
                await soon(lambda: folders(settings) == [], "the job's folder is gone")
        let_go.set()

    @pytest.mark.usefixtures("consumet_bot")
    async def test_a_worker_that_wakes_up_late_changes_nothing(
        self, mina: Person, shelf: Shelf, start_worker: StartWorker, consumet: dict[str, str], consumet_bot: BotSettings
    ) -> None:
        let_go = shelf.holds_back(2, 1)
        with start_worker("asleep", **consumet) as asleep:
            sent = await mina.sends(shelf.command(1, 2, 3))
            await mina.sees("pages 5/6", after=sent)
            processes = [asleep.pid, *children(asleep.pid)]
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            let_go.set()
            with start_worker("awake", **consumet):
                await mina.receives_document()
                await mina.sees("Done", after=sent)
                for pid in processes:
                    os.kill(pid, signal.SIGCONT)
                # The first worker is well again, and has put its own attempt away.
                await mina.sends(shelf.command(1))
                await mina.sends(shelf.command(3))
                await mina.receives_document("- 1.zip")
                await mina.receives_document("- 3.zip")
                await soon(lambda: folders(consumet_bot) == [], "the jobs' folders are gone")
        assert len([m for m in await mina.messages() if "document" in m]) == 3

    @pytest.mark.usefixtures("consumet_bot")
    async def test_a_job_goes_on_at_another_worker(
        self, mina: Person, shelf: Shelf, start_worker: StartWorker, consumet: dict[str, str]
    ) -> None:
        let_go = shelf.holds_back(2, 1)
        with start_worker("first", **consumet) as first:
            sent = await mina.sends(shelf.command(1, 2, 3))
            status = await mina.sees("pages [2345]/6", after=sent)
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait)
        let_go.set()
        with start_worker("second", **consumet):
            file = await mina.receives_document()
        assert "6 pages" in file["caption"]
        done = await mina.sees("Done", after=sent)
        assert done["message_id"] == status["message_id"]
        assert shelf.server.count("/1-1.jpg") == 1  # was on disk

    async def test_the_bot_may_be_gone_while_the_job_runs(
        self,
        mina: Person,
        shelf: Shelf,
        consumet_settings: BotSettings,
        start_worker: StartWorker,
        consumet: dict[str, str],
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        with start_worker("alone", **consumet):
            async with running_bot(consumet_settings):
                await mina.sends("/search harbour")
                await mina.presses("Harbour Lights")
                await mina.presses("Chapters")
                await mina.presses("^1$")
                await mina.presses(r"Download \(1\)")
                status = await mina.sees("pages 1/2")
            let_go.set()
            async with running_bot(consumet_settings):
                await mina.receives_document()
                assert (await mina.sees("Done"))["message_id"] == status["message_id"]
                # The picker of before is still at work.
                await mina.presses("^2$")
                await mina.presses(r"Download \(2\)")
                await mina.receives_document("Harbour Lights - 1-2")
        assert await mina.breaches() == []


StartBot = Callable[[], AbstractAsyncContextManager["subprocess.Popen[bytes]"]]


def came_up() -> Callable[[str], bool]:
    """Whether the log has one more bot that is up than at the first look."""
    before: list[int] = []

    def is_up(said: str) -> bool:
        ups = said.count("the bot is up")
        before.append(ups)
        return ups > before[0]

    return is_up


@pytest.mark.usefixtures("consumet_worker")
class TestUploads:
    """The bot is a process of its own, so that it can be killed."""

    @pytest.fixture
    def start_bot(
        self,
        consumet_settings: BotSettings,
        consumet: dict[str, str],
        clean_environment: dict[str, str],
        tmp_path: Path,
    ) -> StartBot:
        environment = {
            **clean_environment,
            **consumet,
            "DATA_DIR": str(consumet_settings.data_dir),
            "TELEGRAM_BOT_TOKEN": consumet_settings.telegram_bot_token.get_secret_value(),
            "TELEGRAM_API_URL": consumet_settings.telegram_api_url,
        }
        return lambda: beside(process(["bot"], environment, tmp_path / "bot.log", came_up()))

    async def kill(self, bot: "subprocess.Popen[bytes]") -> None:
        bot.kill()
        await asyncio.to_thread(bot.wait)

    async def test_killed_before_all_of_it_is_out_the_file_is_sent_again(
        self, mina: Person, shelf: Shelf, start_bot: StartBot, telegram: StandIn, consumet_settings: BotSettings
    ) -> None:
        make_large(shelf, edge=2000)  # more than the sockets between the two hold
        await mina.orders_fault(method="sendDocument", unread=True, delay=30)
        async with start_bot() as bot:
            sent = await mina.sends(shelf.command(1, 2, 3))
            status = await mina.sees("Uploading", after=sent)
            await soon(lambda: telegram.faults.used("sendDocument"), "the upload's beginning")
            await self.kill(bot)
        async with start_bot():
            await mina.receives_document()
            done = await mina.sees("✅ Done", after=sent)
            await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert done["message_id"] == status["message_id"]
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_killed_before_the_answer_the_file_is_not_sent_again(
        self, mina: Person, shelf: Shelf, start_bot: StartBot, consumet_settings: BotSettings
    ) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, delay=30)
        async with start_bot() as bot:
            sent = await mina.sends(shelf.command(1))
            await mina.receives_document()
            await self.kill(bot)
        async with start_bot():
            await mina.sees("Sent, but Telegram's answer was lost", after=sent)
            await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_a_bot_that_is_told_to_stop_waits_for_the_answer(
        self, mina: Person, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, answer=True, delay=1)
        async with running_bot(consumet_settings):
            sent = await mina.sends(shelf.command(1))
            await mina.receives_document()
        async with running_bot(consumet_settings):
            await mina.sees("✅ Done", after=sent)
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_an_upload_that_breaks_off_goes_on_by_itself(
        self, mina: Person, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        make_large(shelf)
        await mina.orders_fault(method="sendDocument", unread=True, drop=True)
        async with running_bot(consumet_settings):
            await mina.sends(shelf.command(1, 2, 3))
            await mina.sees("✅ Done")
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_an_upload_can_be_cancelled(
        self, mina: Person, shelf: Shelf, telegram: StandIn, consumet_settings: BotSettings
    ) -> None:
        make_large(shelf, edge=2000)
        await mina.orders_fault(method="sendDocument", unread=True, delay=30)
        async with running_bot(consumet_settings):
            sent = await mina.sends(shelf.command(1, 2, 3))
            status = await mina.sees("Uploading", after=sent)
            await soon(lambda: telegram.faults.used("sendDocument"), "the upload's beginning")
            await mina.presses("Cancel", on=status)
            await mina.sees("✖ Cancelled by Mina Park", after=sent)
            await soon(lambda: folders(consumet_settings) == [], "the job's folder is gone")
        assert not [m for m in await mina.messages() if "document" in m]

    async def test_what_came_in_as_the_bot_died_is_handled_by_the_next(
        self, mina: Person, shelf: Shelf, start_bot: StartBot
    ) -> None:
        let_go = threading.Event()
        shelf.server.on(SEARCH, Reply(wait_for=let_go))
        async with start_bot() as bot:
            sent = await mina.sends("/search harbour")
            await soon(lambda: shelf.server.count(SEARCH), "the search")
            await mina.sends("/help")  # Telegram has been asked for what comes after the search
            await mina.sees("I download manga", after=sent)
            await self.kill(bot)
        let_go.set()
        shelf.server.on(SEARCH, as_json({"results": [{"id": "7/harbour-lights", "title": "Harbour Lights"}]}))
        async with start_bot():
            await mina.sees_button("Harbour Lights")

    async def test_a_command_that_comes_twice_starts_one_job(
        self, mina: Person, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        async with running_bot(consumet_settings):
            sent = await mina.sends(shelf.command(1), twice=True)
            await mina.sees("Done", after=sent)
        assert len([m for m in await mina.messages() if m["message_id"] > sent]) == 2


@pytest.mark.usefixtures("consumet_worker")
async def test_a_large_archive_comes_in_parts(
    mina: Person, shelf: Shelf, consumet_settings: BotSettings, telegram: StandIn, tmp_path: Path
) -> None:
    telegram.files.upload_limit = 2_000_000
    make_large(shelf)
    async with running_bot(consumet_settings.model_copy(update={"upload_limit_mb": 3})):
        await mina.sends(shelf.command(1, 2, 3))
        await mina.sees(r"Done · 6 pages · .* parts")
    files = [m for m in await mina.messages() if "document" in m]
    assert len(files) == 3
    assert files[0]["document"]["file_name"] == "Harbour Lights - 1 (part 1 of 3).zip"
    assert "part 2/3 · ch 2 · 2 pages" in files[1]["caption"]
    for file in files:
        with zipfile.ZipFile(await mina.saves(file, tmp_path / "part.zip")) as archive:
            assert archive.testzip() is None
            assert "manifest.json" in archive.namelist()


async def test_a_killed_redis_takes_nobody_with_it(
    mina: Person, shelf: Shelf, telegram: StandIn, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    settings = BotSettings(
        _env_file=None,
        data_dir=tmp_path,
        mangapi_url=shelf.server.url,
        consumet_providers=("mangapill",),
        telegram_bot_token=SecretStr(telegram.token),
        telegram_api_url=telegram.url,
    )
    ours = {"DATA_DIR": str(tmp_path), "MANGAPI_URL": shelf.server.url, "CONSUMET_PROVIDERS": "mangapill"}
    environment = {**clean_environment, **ours}
    redis = partial(
        process, ["bot.local.redis_server"], environment, tmp_path / "redis.log", lambda _: is_live(settings)
    )
    words = ["celery", "-A", "tasks", "worker", "-Q", "downloads,cleanup", "-c", "2", "-n", "w@%h", "-l", "INFO"]
    log = tmp_path / "worker.log"
    let_go = shelf.holds_back(2, 1)
    with ExitStack() as stack:
        server = stack.enter_context(redis())
        worker = stack.enter_context(process(words, environment, log, lambda said: " ready." in said))
        async with running_bot(settings):
            sent = await mina.sends(shelf.command(1, 2))
            status = await mina.sees("pages 3/4", after=sent)
            for times in range(1, 4):
                server.kill()
                await asyncio.to_thread(server.wait)
                server = stack.enter_context(redis())
                await soon(lambda times=times: log.read_text().count("mingle: all alone") > times, "connected again")
            let_go.set()
            await mina.receives_document()
            assert (await mina.sees("Done", after=sent))["message_id"] == status["message_id"]
            await soon(lambda: folders(settings) == [], "the job's folder is gone")
            assert worker.poll() is None
        assert log.read_text().count(" ready.") == 1
        assert "restarting Alive" not in log.read_text()
    assert shelf.server.count("/1-1.jpg") == 1


async def test_a_bot_without_redis_says_so_and_waits(
    telegram: StandIn, mina: Person, tmp_path: Path, clean_environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = BotSettings(
        _env_file=None, data_dir=tmp_path, telegram_bot_token=SecretStr(telegram.token), telegram_api_url=telegram.url
    )
    await mina.sends("/help")
    starting = asyncio.create_task(_until_answered(settings, mina))
    await soon(lambda: "waiting for Redis" in caplog.text, "a word about Redis")
    environment = {**clean_environment, "DATA_DIR": str(tmp_path)}
    with process(["bot.local.redis_server"], environment, tmp_path / "redis.log", lambda _: is_live(settings)):
        await starting


async def _until_answered(settings: BotSettings, person: Person) -> None:
    async with running_bot(settings):
        await person.sees("I download manga")


@pytest.mark.usefixtures("worker", "bot")
class TestTelegram:
    async def test_silence_asked_for_is_kept(self, mina: Person) -> None:
        fault = {"status": 429, "description": "Too Many Requests: retry after 2", "parameters": {"retry_after": 2}}
        await mina.orders_fault(method="sendMessage", **fault)
        sent = await mina.sends("/help")
        await mina.sees("I download manga", after=sent)

    async def test_what_was_a_while_on_its_way_keeps_its_distance(self, mina: Person) -> None:
        await mina.orders_fault(method="sendMessage", do_it=True, answer=True, late=0.7)
        for sent in [await mina.sends("/help"), await mina.sends("/jobs")]:
            await mina.sees("I download manga|no downloads running", after=sent)
        assert await mina.breaches() == []

    async def test_an_upload_that_was_refused_for_a_moment_goes_out_again(self, mina: Person) -> None:
        await mina.orders_fault(method="sendDocument", status=502, body="<html>Bad Gateway</html>")
        await mina.orders_fault(method="sendDocument", status=500)
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        await mina.sees("Done")
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_an_upload_whose_answer_was_lost_is_not_sent_twice(self, mina: Person) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, drop=True)
        await mina.sends("/download demo lantern-2")
        await mina.receives_document()
        await mina.sees("look whether the file arrived")
        await mina.sees_button("Retry")
        assert len([m for m in await mina.messages() if "document" in m]) == 1

    async def test_a_deleted_status_message_is_replaced_by_one_other(self, mina: Person) -> None:
        await mina.orders_fault(
            method="editMessageText", status=400, description="Bad Request: message to edit not found"
        )
        sent = await mina.sends("/download demo lantern-3")
        await mina.receives_document()
        await mina.sees("Done", after=sent)
        assert len([m for m in await mina.messages() if m["message_id"] > sent]) == 3

    async def test_who_blocked_the_bot_waits_for_nothing(self, mina: Person, bot: BotSettings) -> None:
        await mina.orders_fault(method="sendDocument", status=403, description="Forbidden: bot was blocked by the user")
        sent = await mina.sends("/download demo lantern-1")
        await mina.sees("Uploading", after=sent)
        await soon(lambda: folders(bot) == [], "the job's folder is gone")
        await mina.sends("/jobs")
        await mina.sees("You have no downloads running")

    async def test_a_group_that_put_the_bot_out_is_left_alone(
        self, junho_in_group: Person, junho: Person, bot: BotSettings
    ) -> None:
        gone = "Forbidden: bot was kicked from the supergroup chat"
        await junho.orders_fault(method="editMessageText", status=403, description=gone)
        await junho_in_group.sends("/download demo lantern-1 lantern-2 lantern-3")
        await junho_in_group.sees("Queued|Downloading")
        await soon(lambda: folders(bot) != [], "the job's folder")
        await soon(lambda: folders(bot) == [], "the job's folder is gone")
        sent = await junho.sends("/jobs")
        await junho.sees("You have no downloads running", after=sent)
        assert not [m for m in await junho_in_group.messages() if "document" in m]

    async def test_where_files_are_not_allowed_they_come_in_private(
        self, junho_in_group: Person, junho: Person
    ) -> None:
        no = "Bad Request: not enough rights to send documents to the chat"
        await junho.orders_fault(method="sendDocument", status=400, description=no)
        await junho_in_group.sends("/download demo lantern-1")
        await junho.receives_document()
        assert "I may not write where you asked for it" in (await junho.sees("Done"))["text"]
        await junho_in_group.sees("it goes on in private")
        assert not [m for m in await junho_in_group.messages() if "document" in m]

    async def test_a_closed_topic_is_left_for_the_general_one(self, junho_in_group: Person, telegram: StandIn) -> None:
        await junho_in_group.orders_fault(method="sendDocument", status=400, description="Bad Request: TOPIC_CLOSED")
        await junho_in_group.sends("/download demo lantern-1")
        async with Person(telegram.url, JUNHO, chat=GROUP) as in_general:
            await in_general.receives_document()
        await junho_in_group.sees("Done")

    async def test_a_group_that_became_a_supergroup_gets_its_file_there(self, mina: Person, telegram: StandIn) -> None:
        async with (
            Person(telegram.url, SOFIA, chat=SMALL_GROUP) as before,
            Person(telegram.url, SOFIA, chat=GROUP) as after,
        ):
            await before.sends("/download demo lantern-1 lantern-2")
            await before.sees("Queued|Downloading")
            await mina.sets_rules(upgraded=True)
            await after.receives_document()
            await after.sees("Done")

    async def test_a_bad_hour_of_telegram_ends_with_the_file_all_the_same(
        self, mina: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Polite, "ATTEMPTS", 1)
        monkeypatch.setattr("bot.delivery.watch.TROUBLE_SECONDS", 0.1)
        await mina.orders_fault(method="sendDocument", times=3, status=502, body="<html>Bad Gateway</html>")
        await mina.orders_fault(method="editMessageText", times=3, status=500)
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        await mina.sees("Done")
        assert len([m for m in await mina.messages() if "document" in m]) == 1
