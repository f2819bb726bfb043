"""One source fails, another one has the same chapters."""

import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, on_database, running_bot
from tests.end_to_end.shelf import SEARCH, Shelf
from tests.person import Person, buttons
from tests.web_server import as_json

PROVIDERS = ("mangahere", "mangapill")


@pytest.fixture(scope="module")
def both(source_server: object, session_settings: BotSettings, start_worker: StartWorker) -> Iterator[dict[str, str]]:
    """A worker with two sources."""
    url = source_server.url  # type: ignore[attr-defined]
    broker = on_database(session_settings, 1).broker_url
    environment = {"MANGAPI_URL": url, "CONSUMET_PROVIDERS": " ".join(PROVIDERS), "CELERY_BROKER_URL": broker}
    with start_worker("both", **environment):
        yield environment


@pytest.fixture
async def shelf_and_bot(bot_settings: BotSettings, both: dict[str, str], shelf: Shelf) -> AsyncIterator[Shelf]:
    settings = bot_settings.model_copy(
        update={
            "mangapi_url": both["MANGAPI_URL"],
            "consumet_providers": PROVIDERS,
            "celery_broker_url": SecretStr(both["CELERY_BROKER_URL"]),
        }
    )
    async with running_bot(settings):
        yield shelf


def searched_by_title(shelf: Shelf) -> None:
    """The title can be found under the name that its id on the other source gives it."""
    shelf.server.on(f"/manga/mangapill/{quote('Harbour Lights')}?page=1", *shelf.server.replies[SEARCH])


async def test_what_one_source_does_not_give_is_offered_from_another(
    mina: Person, shelf_and_bot: Shelf, tmp_path: Path
) -> None:
    searched_by_title(shelf_and_bot)
    broken = as_json({"message": "Something went wrong. Please try again later."}, 500)
    for number in (1, 3):
        shelf_and_bot.server.on(f"/manga/mangahere/read?chapterId=harbour-lights%2Fc00{number}", broken)
    await mina.sends("/download mangahere harbour-lights/c001 harbour-lights/c003")
    failed = await mina.sees("Failed · Not one page could be had")
    assert [button["text"] for button in buttons(failed)] == ["Retry", "Other sources"]
    await mina.presses("Other sources", on=failed)
    picker = await mina.sees(r"Harbour Lights · 3 chapters · mangapill\nPicked 2: 1, 3")
    await mina.presses(r"Download \(2\)", on=picker)
    file = await mina.receives_document("Harbour Lights")
    with zipfile.ZipFile(await mina.saves(file, tmp_path / "x.zip")) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [(one["number"], one["source"]) for one in manifest["chapters"]] == [("1", "mangapill"), ("3", "mangapill")]


async def test_that_nobody_else_has_it_is_said(mina: Person, shelf_and_bot: Shelf) -> None:
    shelf_and_bot.server.on("/manga/mangahere/read?chapterId=harbour-lights%2Fc001", as_json([]))
    await mina.sends("/download mangahere harbour-lights/c001")
    failed = await mina.sees("Failed · Not one page could be had")
    await mina.presses("Other sources", on=failed)
    await mina.sees("No other source has these chapters")
