"""Uploads through a Bot API server of the operator's own: by path where it sees our files, with all bytes otherwise."""

import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.local.telegram import StandIn, serve
from bot.settings import BotSettings
from tests.conftest import running_bot
from tests.end_to_end.shelf import Shelf, make_large
from tests.person import Person

MOST_UNREAD = 16_000_000
"""Bytes that may be on their way in sockets while nobody reads."""

pytestmark = pytest.mark.usefixtures("consumet_worker")


@pytest.fixture(params=["/"])
def sees(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """The folder that the server sees; None = it is the cloud's."""
    return tmp_path / request.param if request.param else None


blind = pytest.mark.parametrize("sees", ["nothing"], indirect=True)


@pytest.fixture
async def telegram(sees: Path | None) -> AsyncIterator[StandIn]:
    async with serve(local=sees) as stand_in:
        yield stand_in


@pytest.fixture
async def local_bot(consumet_settings: BotSettings) -> AsyncIterator[None]:
    async with running_bot(consumet_settings.model_copy(update={"telegram_api_local": True})):
        yield


async def picks_first_chapter(person: Person) -> None:
    sent = await person.sends("/search harbour")
    await person.presses(".", on=await person.sees("title", after=sent))
    for label in ("Chapters", "^1$", r"Download \(1\)"):
        await person.presses(label)


async def documents(person: Person) -> list[str]:
    return [m["document"]["file_name"] for m in await person.messages() if "document" in m]


@pytest.mark.usefixtures("local_bot")
class TestByPath:
    @pytest.mark.parametrize("title", ["Harbour Lights", "100% #1; it's «灯台» + \U0001f30a & %41"])
    async def test_the_server_reads_the_file_itself(
        self, mina: Person, shelf: Shelf, telegram: StandIn, tmp_path: Path, title: str
    ) -> None:
        shelf.is_called(title)
        await picks_first_chapter(mina)
        file = await mina.receives_document()
        await mina.sees("✅ Done")
        assert file["document"]["file_name"] == f"{title} - 1.zip"
        with zipfile.ZipFile(await mina.saves(file, tmp_path / "a.zip")) as archive:
            assert archive.testzip() is None
        assert (telegram.files.read_by_path, telegram.files.uploads) == (1, 1)
        assert await mina.breaches() == []

    async def test_an_answer_that_was_lost_is_told_and_nothing_is_sent_again(
        self, mina: Person, shelf: Shelf, telegram: StandIn
    ) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, drop=True)
        await mina.sends(shelf.command(1))
        await mina.sees("Sent, but Telegram's answer was lost")
        assert telegram.files.asked_by_path == 1
        assert len(await documents(mina)) == 1

    async def test_a_server_that_died_over_it_may_have_sent_it(
        self, mina: Person, shelf: Shelf, telegram: StandIn
    ) -> None:
        await mina.orders_fault(method="sendDocument", drop=True)
        await mina.sends(shelf.command(1))
        await mina.sees("Sent, but Telegram's answer was lost")
        assert telegram.files.asked_by_path == 0

    async def test_no_percent_is_made_up(self, mina: Person, shelf: Shelf) -> None:
        await mina.orders_fault(method="sendDocument", do_it=True, answer=True, delay=4)
        sent = await mina.sends(shelf.command(1))
        await mina.receives_document()
        status = await mina.sees("Uploading", after=sent)
        assert "%" not in status["text"]
        await mina.sees("✅ Done", after=sent)


@pytest.mark.usefixtures("local_bot")
class TestStreamed:
    @pytest.mark.parametrize("sees", ["nothing", None], indirect=True)
    async def test_what_the_server_does_not_see_is_sent_with_all_bytes_and_the_next_one_at_once(
        self, mina: Person, shelf: Shelf, telegram: StandIn, tmp_path: Path
    ) -> None:
        make_large(shelf)
        for chapter in (1, 2):
            sent = await mina.sends(shelf.command(chapter))
            file = await mina.receives_document(after=sent)
            await mina.sees("✅ Done", after=sent)
            with zipfile.ZipFile(await mina.saves(file, tmp_path / "a.zip")) as archive:
                assert archive.testzip() is None
        assert await documents(mina) == ["Harbour Lights - 1.zip", "Harbour Lights - 2.zip"]
        assert telegram.files.asked_by_path == 1

    @blind
    async def test_one_that_breaks_off_is_sent_again(self, mina: Person, shelf: Shelf, telegram: StandIn) -> None:
        make_large(shelf)
        no = "Bad Request: can't find real file path"
        await mina.orders_fault(method="sendDocument", status=400, description=no)
        await mina.orders_fault(method="sendDocument", unread=True, drop=True)
        await mina.sends(shelf.command(1, 2, 3))
        await mina.sees("✅ Done")
        assert len(await documents(mina)) == telegram.files.uploads == 1

    @blind
    async def test_what_is_refused_both_ways_is_told(self, mina: Person, shelf: Shelf) -> None:
        await mina.orders_fault(method="sendDocument", times=2, status=400, description="Bad Request: no such thing")
        await mina.sends(shelf.command(1))
        await mina.sees("Telegram did not take the file")
        assert await documents(mina) == []

    @blind
    async def test_how_much_is_up_is_shown(self, mina: Person, shelf: Shelf, telegram: StandIn) -> None:
        make_large(shelf, edge=4000)
        telegram.files.let_in(0)
        await mina.orders_fault(method="sendDocument", status=400)
        await mina.orders_fault(method="sendDocument", do_it=True, answer=True, delay=5)
        sent = await mina.sends(shelf.command(1, 2, 3))
        status = await mina.sees(r"Uploading · 96 MB\n▰?▱+ \d+ %$", after=sent)
        (first,) = re.findall(r"(\d+) %", status["text"])
        assert 0 <= int(first) <= MOST_UNREAD / 960_000
        telegram.files.let_in(50_000_000)
        status = await mina.sees(r"\n▰{5,6}▱+ [56]\d %$", after=sent)
        telegram.files.let_in(10**9)
        await mina.sees(r"\n▰{10} 100 %\n⏳ All of it is up · waiting for Telegram", after=sent)
        done = await mina.sees("✅ Done", after=sent)
        assert done["message_id"] == status["message_id"]
        assert await mina.breaches() == []

    @blind
    async def test_what_was_long_on_its_way_counts_when_it_arrives(
        self, mina: Person, shelf: Shelf, telegram: StandIn
    ) -> None:
        make_large(shelf, edge=2000)
        telegram.files.let_in(0)
        sent = await mina.sends(shelf.command(1, 2, 3))
        await mina.sees(r"\d %$", after=sent)
        telegram.files.let_in(10**9)
        await mina.receives_document()
        for _ in range(3):
            await mina.sees("I download manga", after=await mina.sends("/help"))
        await mina.sees("✅ Done", after=sent)
        assert await mina.breaches() == []


async def test_in_the_cloud_a_name_arrives_whole(shelf: Shelf, consumet_settings: BotSettings) -> None:
    shelf.is_called("Harbour;Lights")
    async with serve() as cloud:
        settings = consumet_settings.model_copy(update={"telegram_api_url": cloud.url})
        async with running_bot(settings), Person(cloud.url) as person:
            await picks_first_chapter(person)
            await person.receives_document()
            assert await documents(person) == ["Harbour\uff1bLights - 1.zip"]
