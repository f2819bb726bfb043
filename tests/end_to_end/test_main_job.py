"""The main job, as people do it: search, pick, watch, receive."""

import json
import zipfile
from pathlib import Path

import pytest
from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from bot.settings import BotSettings
from tests.person import Person, buttons, soon

pytestmark = pytest.mark.usefixtures("worker", "bot")


async def pick(person: Person, title: str, *chapters: str) -> None:
    """Search a title, open it, and pick these chapters."""
    sent = await person.sends(f"/search {title}")
    results = await person.sees("title", after=sent)
    await person.presses(".", on=results)
    await person.presses("Chapters", on=await person.sees("Authors", after=sent))
    for chapter in chapters:
        await person.presses(chapter)
    await person.sees_button(r"Download \([1-9]")


def job_folders(settings: BotSettings) -> list[str]:
    jobs = settings.data_path / "jobs"
    return [folder.name for folder in jobs.iterdir()] if jobs.exists() else []


async def test_picked_chapters_arrive_as_one_archive_and_leave_nothing_behind(
    mina: Person, bot_settings: BotSettings, tmp_path: Path
) -> None:
    await pick(mina, "lantern", "^1$", "^2$", r"^2\.5$")
    assert (await mina.presses(r"Download \(3\)"))["text"] == "On its way."
    file = await mina.receives_document()
    assert file["document"]["file_name"] == "The Lantern Keeper's Cat - 1-2, 2.5.zip"
    assert "18 pages" in file["caption"]
    assert file["reply_to_message"]["text"] == "/search lantern"
    await mina.sees("✅ Done · 18 pages")
    with zipfile.ZipFile(await mina.saves(file, tmp_path / "got.zip")) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
    assert names[0] == "Chapter 0001 - The Light/001.jpg"
    assert names[-2] == "Chapter 0002.5 - A Nap/006.jpg"
    assert manifest["page_count"] == 18
    assert manifest["missing"] == []
    assert manifest["chapters"][0]["groups"] == ["Demo Scans"]
    await soon(lambda: job_folders(bot_settings) == [], "the job's folder is gone")
    assert await mina.breaches() == []


async def test_one_status_message_is_edited_in_place(mina: Person) -> None:
    sent = await mina.sends("/download demo lantern-1")
    await mina.receives_document()
    await mina.sees("Done", after=sent)
    told = [m for m in await mina.messages() if m.get("from", {}).get("is_bot")]
    assert len(told) == 2  # the status message and the file
    assert told[0]["reply_to_message"]["message_id"] == sent


async def test_a_group_member_gets_the_file_in_the_same_topic(junho_in_group: Person, sofia_in_group: Person) -> None:
    await pick(junho_in_group, "hills", "^2$")
    answer = await sofia_in_group.presses(r"Download \(1\)")
    assert answer["alert"]
    assert "Somebody else opened this" in answer["text"]
    await junho_in_group.presses(r"Download \(1\)")
    file = await junho_in_group.receives_document()
    assert file["message_thread_id"] == 2
    await junho_in_group.sees("Done")
    assert await junho_in_group.breaches() == []


async def test_the_same_chapters_asked_for_in_two_chats_are_one_job(mina: Person, junho_in_group: Person) -> None:
    await mina.sends("/download 30 falling-1 falling-2 falling-3")
    await junho_in_group.sends("/download demo falling-1 falling-2 falling-3")
    await mina.receives_document()
    await junho_in_group.receives_document()
    await mina.sees("Done")
    await junho_in_group.sees("Done")


async def test_a_request_that_telegram_delivers_twice_starts_one_job(mina: Person) -> None:
    await mina.sends("/download demo hills-1", twice=True)
    await mina.receives_document()
    await mina.sees("Done")
    assert len([m for m in await mina.messages() if "document" in m]) == 1


async def test_what_can_not_be_downloaded_gets_a_sentence(mina: Person) -> None:
    for text, answer in {
        "/download": "Send /download, a source and chapter ids",
        "/download demo": "Send /download, a source and chapter ids",
        "/download nowhere x": "There is no source “nowhere”",
        "/download demo no-such-chapter": "does not know that title or chapter",
        "/download demo " + "x" * 600: "does not know that title or chapter",
        "/download demo ../../etc/passwd <b>": "does not know that title or chapter",
        "/download demo " + " ".join(f"c{n}" for n in range(500)): "500 chapters; at most 200",
    }.items():
        sent = await mina.sends(text)
        await mina.sees(answer, after=sent)
    assert await mina.breaches() == []


async def test_the_same_id_twice_is_one_chapter(mina: Person, tmp_path: Path) -> None:
    await mina.sends("/download demo lantern-1 lantern-1")
    with zipfile.ZipFile(await mina.saves(await mina.receives_document(), tmp_path / "got.zip")) as archive:
        assert len(archive.namelist()) == 7


async def test_celery_shows_the_states_to_another_process(mina: Person, settings: BotSettings) -> None:
    await mina.sends("/download demo hills-1 hills-2 hills-3 hills-4 hills-5")
    await mina.receives_document()
    with Redis(unix_socket_path=str(settings.redis_socket), decode_responses=True) as redis:
        job_id = next(iter(redis.scan_iter("manhwa:job:????????????????"))).rpartition(":")[2]
    with Celery("onlooker", broker=settings.broker_url, backend=settings.result_backend) as onlooker:
        result: AsyncResult[dict[str, object]] = AsyncResult(job_id, app=onlooker)
        await soon(lambda: result.state == "SUCCESS", "the task's success")
        told = result.result
        unknown = AsyncResult("never-heard-of", app=onlooker).state
    assert isinstance(told, dict)
    assert (told["total_chapters"], told["chapters_done"], told["pages_done"], told["progress"]) == (5, 5, 40, 100)
    assert unknown == "PENDING"


async def test_buttons_of_long_ago_and_forged_ones_are_answered(mina: Person) -> None:
    sent = await mina.sends("/search lantern")
    results = await mina.sees("title", after=sent)
    expired = await mina.presses_data(results, "ro:nothing-here:0")
    assert "expired" in expired["text"]
    assert "outdated" in (await mina.presses_data(results, "what:is:this"))["text"]
    data = buttons(results)[0]["callback_data"]
    assert "not there any more" in (await mina.presses_data(results, data[:-1] + "99"))["text"]
    assert await mina.breaches() == []
