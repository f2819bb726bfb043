"""The product against the real Consumet library, where that is at hand: a folder beside the project serves it."""

import json
import shutil
import socket
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, running_bot
from tests.person import Person, soon

FOLDER = Path(__file__).parents[3] / "shared" / "consumet"
REFERER = {"Referer": "https://mangapill.com/"}

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no Consumet library beside the project"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no Node.js to run the Consumet library with"),
    pytest.mark.timeout(300),  # the first start installs the library
]


@dataclass(frozen=True)
class Consumet:
    """A running one: where its API is, and its switches."""

    url: str
    switches: str

    async def switch(self, settings: str) -> None:
        async with httpx.AsyncClient() as http:
            (await http.get(f"{self.switches}/?{settings}")).raise_for_status()

    async def bytes_of(self, path: str) -> bytes:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"{self.url}{path}", headers=REFERER)).raise_for_status().content


def three_free_ports() -> int:
    """The first of three neighbours."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
        try:
            for neighbour in range(port, port + 3):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", neighbour))
        except OSError:
            continue
        if port < 65_000:
            return port


@pytest.fixture(scope="module")
def consumet() -> Iterator[Consumet]:
    port = three_free_ports()
    with subprocess.Popen([FOLDER / "run.sh", str(port)], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        said = running.stdout.readline()
        assert said.startswith("READY "), said
        told = json.loads(said.removeprefix("READY "))
        yield Consumet(told["mangapi_url"], told["control"])
        running.terminate()


@pytest.fixture(scope="module")
def broker(session_settings: BotSettings) -> str:
    """A queue apart from the other workers'."""
    return f"redis+socket://{session_settings.redis_socket}?virtual_host=2"


@pytest.fixture(scope="module")
def real_worker(consumet: Consumet, broker: str, start_worker: StartWorker) -> Iterator[None]:
    with start_worker("real", MANGAPI_URL=consumet.url, CONSUMET_PROVIDERS="mangapill", CELERY_BROKER_URL=broker):
        yield


@pytest.fixture
async def real_bot(
    consumet: Consumet, broker: str, bot_settings: BotSettings, real_worker: None
) -> AsyncIterator[BotSettings]:
    settings = bot_settings.model_copy(
        update={
            "mangapi_url": consumet.url,
            "consumet_providers": ("mangapill",),
            "celery_broker_url": SecretStr(broker),
        }
    )
    await consumet.switch("down=0&missing=0")
    async with running_bot(settings):
        yield settings


async def test_search_pick_and_receive(mina: Person, consumet: Consumet, real_bot: BotSettings, tmp_path: Path) -> None:
    await mina.sends("ferryman")
    await mina.presses("The Ninth Ferryman")
    await mina.presses("Chapters")
    await mina.sees_button("Latest")
    await mina.sends("1-3, 24.5")
    await mina.presses(r"Download \(4\)")
    file = await mina.receives_document(r"The Ninth Ferryman - 1-3, 24\.5\.zip")
    with zipfile.ZipFile(await mina.saves(file, tmp_path / "got.zip")) as archive:
        names = archive.namelist()
        first = archive.read("Chapter 0001/001.jpg")
        manifest = json.loads(archive.read("manifest.json"))
    assert len(names) == 4 * 4 + 1
    assert first == await consumet.bytes_of("/file/mangap/4102/10001000/1.jpeg")
    assert (manifest["page_count"], manifest["missing"]) == (16, [])
    await mina.sees("Done")
    await soon(lambda: not list((real_bot.data_path / "jobs").iterdir()), "the job's folder is gone")
    assert await mina.breaches() == []


@pytest.mark.usefixtures("real_bot")
async def test_odd_titles_and_every_kind_of_picture_in_a_group(junho_in_group: Person, tmp_path: Path) -> None:
    await junho_in_group.sends("/search Señor Tejón")
    title = await junho_in_group.sees_button("Øya & <b>Señor Tejón</b>")
    await junho_in_group.presses("Øya", on=title)
    await junho_in_group.presses("Chapters")
    await junho_in_group.presses("All")
    await junho_in_group.presses(r"Download \(4\)")
    file = await junho_in_group.receives_document()
    assert file["message_thread_id"] == 2
    with zipfile.ZipFile(await junho_in_group.saves(file, tmp_path / "got.zip")) as archive:
        kinds = {Path(name).suffix for name in archive.namelist()}
        assert len(archive.namelist()) == 21
    assert kinds == {".jpg", ".png", ".webp", ".json"}
    assert await junho_in_group.breaches() == []


@pytest.mark.usefixtures("real_bot")
async def test_missing_pages_are_named_and_a_source_that_is_down_says_so(mina: Person, consumet: Consumet) -> None:
    await consumet.switch("missing=2/4")
    await mina.sends("/download mangapill 4101-10002000/copper-sparrow-chapter-2")
    assert "ch 2, page 4: the page is gone" in (await mina.receives_document())["caption"]
    await consumet.switch("missing=0&down=1")
    await mina.sends("/search sparrow")
    await mina.sees("mangapill")
    await mina.sends("/download mangapill 4101-10003000/copper-sparrow-chapter-3")
    await mina.sees("❌ Failed")
    await consumet.switch("down=0")
    await mina.presses("Retry")
    await mina.receives_document("Copper Sparrow - 3")
