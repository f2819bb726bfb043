"""From a search at MangaDex to its file, through the worker, with two nodes of which one is broken."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, on_database, running_bot
from tests.person import Person, buttons
from tests.tasks.sources.test_mangadex import (
    FEED,
    MANGA,
    NEWEST_FIRST,
    Site,
    a_manga,
    error,
    listing,
    name_of,
    picture,
    uuid,
)
from tests.web_server import Reply, as_json


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as server:
        server.otherwise = error(404)
        server.on("/manga", listing([a_manga(originalLanguage="ja")], limit=20))
        server.on(f"/manga/{MANGA}", as_json({"result": "ok", "data": a_manga(originalLanguage="ja")}))
        server.on(FEED, listing(NEWEST_FIRST))
        yield server


@pytest.fixture(scope="module")
def broker(site: Site, session_settings: BotSettings, start_worker: StartWorker) -> Iterator[str]:
    url = on_database(session_settings, 1).broker_url
    with start_worker("mangadex", MANGADEX_API_URL=site.url, CELERY_BROKER_URL=url):
        yield url


async def test_a_chapter_comes_whole_though_a_node_is_broken(
    mina: Person, bot_settings: BotSettings, site: Site, broker: str, tmp_path: Path
) -> None:
    pictures = [picture(40), picture(90)]
    names = [name_of(body, n) for n, body in enumerate(pictures, start=1)]
    chapter = {"hash": "h4sh", "data": names, "dataSaver": []}
    at_home = [
        as_json({"result": "ok", "baseUrl": f"{site.url}/{node}", "chapter": chapter}) for node in ("bad", "good")
    ]
    site.on(f"/at-home/server/{uuid(11)}", *at_home)
    for name, body in zip(names, pictures, strict=True):
        site.on(f"/bad/data/h4sh/{name}", Reply(picture(7), content_type="image/jpeg"))
        site.on(f"/good/data/h4sh/{name}", Reply(body, content_type="image/jpeg"))
    settings = bot_settings.model_copy(update={"mangadex_api_url": site.url, "celery_broker_url": SecretStr(broker)})
    async with running_bot(settings):
        sent = await mina.sends("harbour lang:en")
        await mina.presses("Harbour Lights", on=await mina.sees("1 title$", after=sent))
        await mina.presses("Chapters", on=await mina.sees("Authors: Mina K", after=sent))
        picker = await mina.sees("Harbour Lights · 5 chapters · mangadex", after=sent)
        elsewhere = next(button for button in buttons(picker) if button["text"] == "11 ↗")
        assert elsewhere["url"] == "https://example.org/read/11"
        await mina.presses("^1$", on=picker)
        await mina.presses(r"Download \(1\)", on=picker)
        file = await mina.receives_document("Harbour Lights - 1")
        assert "Lantern Scans · mangadex" in file["caption"]
        with zipfile.ZipFile(await mina.saves(file, tmp_path / "x.zip")) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            got = [archive.read(one["name"]) for one in manifest["chapters"][0]["files"]]
        assert got == pictures
        assert manifest["chapters"][0]["groups"] == ["Lantern Scans"]
        await mina.sees("Done", after=sent)
    reports = [json.loads(body) for path, body in site.posted if path == "/report"]
    assert {(one["url"].split("/")[3], one["success"]) for one in reports} == {("bad", False), ("good", True)}
