"""What one job has, or just fetches, no other job fetches again."""

import asyncio
import os
import signal
import zipfile
from pathlib import Path

import pytest

from bot.settings import BotSettings
from tests.conftest import StartWorker
from tests.end_to_end.shelf import Shelf
from tests.person import Person
from tests.web_server import Reply


def lists_and_pages(shelf: Shelf, chapter: int) -> tuple[int, int, int]:
    """How often the chapter's list and its two pages were asked for."""
    first, second = (shelf.server.count(f"/{chapter}-{page}.jpg") for page in (1, 2))
    return shelf.server.count(shelf.list_of(chapter)), first, second


async def ask_for_what_comes(mina: Person, junho: Person, shelf: Shelf) -> None:
    """Mina's chapters 1 and 2 come, but for a page that is held back, when Junho asks for 3 and 1."""
    await mina.sends(shelf.command(1, 2))
    await mina.sees("pages 3/4")
    await junho.sends(shelf.command(3, 1))
    await junho.sees(r"pages 2/2\+")


async def pages_of(person: Person, file: dict[str, object], path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(await person.saves(file, path)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".jpg")}


@pytest.mark.usefixtures("consumet_worker", "consumet_bot")
class TestOnce:
    async def test_a_chapter_that_is_being_fetched_is_joined(
        self, mina: Person, junho: Person, shelf: Shelf, tmp_path: Path
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await ask_for_what_comes(mina, junho, shelf)
        let_go.set()
        first = await pages_of(mina, await mina.receives_document(), tmp_path / "mina.zip")
        second = await pages_of(junho, await junho.receives_document(), tmp_path / "junho.zip")
        assert [lists_and_pages(shelf, chapter) for chapter in (1, 2, 3)] == [(1, 1, 1)] * 3
        assert first["Chapter 0001/002.jpg"] == second["Chapter 0001/002.jpg"] == shelf.pictures["1-2"]
        assert sorted(second) == [f"Chapter 000{chapter}/00{page}.jpg" for chapter in (1, 3) for page in (1, 2)]

    async def test_a_new_selection_is_packed_from_what_is_on_disk(
        self, mina: Person, shelf: Shelf, tmp_path: Path
    ) -> None:
        await mina.sends(shelf.command(1, 2))
        await mina.receives_document()
        await mina.sends(shelf.command(2, 3))
        file = await mina.receives_document("2-3")
        assert [lists_and_pages(shelf, chapter) for chapter in (1, 2, 3)] == [(1, 1, 1)] * 3
        assert set((await pages_of(mina, file, tmp_path / "2.zip")).values()) == {
            shelf.pictures[f"{chapter}-{page}"] for chapter in (2, 3) for page in (1, 2)
        }

    async def test_a_chapter_with_a_missing_page_is_fetched_again(self, mina: Person, shelf: Shelf) -> None:
        shelf.has(1, 2, Reply(status=404))
        await mina.sends(shelf.command(1, 2))
        assert "ch 1, page 2" in (await mina.receives_document())["caption"]
        await mina.sends(shelf.command(1, 3))
        assert "ch 1, page 2" in (await mina.receives_document("1, 3"))["caption"]
        assert lists_and_pages(shelf, 1) == (2, 2, 2)

    async def test_who_joined_goes_on_alone_where_the_other_gave_up(
        self, mina: Person, junho: Person, shelf: Shelf
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await ask_for_what_comes(mina, junho, shelf)
        await mina.presses("Cancel")
        await mina.sees("Cancelled")
        let_go.set()
        assert "4 pages" in (await junho.receives_document())["caption"]


async def test_who_joined_goes_on_where_the_others_worker_was_killed(
    consumet_bot: BotSettings,
    mina: Person,
    junho: Person,
    shelf: Shelf,
    start_worker: StartWorker,
    consumet: dict[str, str],
) -> None:
    let_go = shelf.holds_back(1, 2)
    with start_worker("one", **consumet) as first:
        await mina.sends(shelf.command(1, 2))
        await mina.sees("pages 3/4")
        with start_worker("other", **consumet):
            await junho.sends(shelf.command(3, 1))
            await junho.sees(r"pages 2/2\+")
            os.kill(first.pid, signal.SIGKILL)
            let_go.set()
            files = await asyncio.gather(mina.receives_document(), junho.receives_document())
    assert all("4 pages" in file["caption"] for file in files)
