"""Addresses that people copied from a source's site."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, on_database, running_bot
from tests.end_to_end.shelf import Shelf
from tests.person import Person
from tests.web_server import WebServer

SITE = "https://mangapill.com"


@pytest.fixture
def shelf(source_server: WebServer) -> Shelf:
    return Shelf(source_server)


@pytest.fixture(scope="module")
def environment(source_server: WebServer, session_settings: BotSettings) -> dict[str, str]:
    broker = on_database(session_settings, 1).broker_url
    return {"MANGAPI_URL": source_server.url, "CONSUMET_PROVIDERS": "mangapill", "CELERY_BROKER_URL": broker}


@pytest.fixture(scope="module")
def consumet_worker(start_worker: StartWorker, environment: dict[str, str]) -> Iterator[None]:
    with start_worker("links", **environment):
        yield


@pytest.fixture
async def consumet_bot(bot_settings: BotSettings, environment: dict[str, str], shelf: Shelf) -> AsyncIterator[None]:
    changes = {
        "mangapi_url": environment["MANGAPI_URL"],
        "consumet_providers": ("mangapill",),
        "celery_broker_url": SecretStr(environment["CELERY_BROKER_URL"]),
    }
    async with running_bot(bot_settings.model_copy(update=changes)):
        yield


@pytest.mark.usefixtures("consumet_worker", "consumet_bot")
async def test_a_pasted_link_opens_its_title_or_chapters(mina: Person, junho_in_group: Person, shelf: Shelf) -> None:
    sent = await mina.sends(f"{SITE}/manga/7/harbour-lights")
    await mina.sees("^Harbour Lights\n", after=sent)
    sent = await mina.sends(f"{SITE}/chapters/{shelf.chapter(1)} {SITE}/chapters/{shelf.chapter(2)}")
    picker = await mina.sees("Picked 2: 1–2", after=sent)
    await mina.presses("Download", on=picker)
    await mina.receives_document(r" - 1-2\.zip$")
    sent = await junho_in_group.sends(f"/download {SITE}/chapters/{shelf.chapter(3)}")
    await junho_in_group.receives_document(r" - 3\.zip$", after=sent)
    sent = await junho_in_group.sends(f"/search {SITE}/manga/7/harbour-lights")
    await junho_in_group.sees("^Harbour Lights\n", after=sent)
    for nonsense in ("https://example.org/<b>", f"{SITE}/", "http://["):
        sent = await mina.sends(nonsense)
        await mina.sees("I know no title or chapter at", after=sent)
    sent = await mina.sends(f"{SITE}/manga/8/nobody")
    await mina.sees("⚠ ", after=sent)
    assert await mina.breaches() == []
