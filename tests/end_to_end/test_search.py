"""Several sources at once, in one message that fills as they answer."""

import threading
from collections.abc import AsyncIterator

import pytest

from bot.settings import BotSettings
from tests.conftest import running_bot
from tests.person import Person, buttons
from tests.web_server import Reply, WebServer, as_json


def found(*titles: str) -> Reply:
    return as_json({"results": [{"id": title.lower().replace(" ", "-"), "title": title} for title in titles]})


@pytest.fixture
async def two_sources(bot_settings: BotSettings, source_server: WebServer) -> AsyncIterator[WebServer]:
    source_server.reset()
    settings = bot_settings.model_copy(
        update={"mangapi_url": source_server.url, "consumet_providers": ("mangahere", "mangapill")}
    )
    async with running_bot(settings):
        yield source_server


def answers(server: WebServer, segment: str, *replies: Reply) -> None:
    server.on(f"/manga/{segment}/harbour", *replies)
    server.on(f"/manga/{segment}/harbour?page=1", *replies)


def asked(server: WebServer, segment: str) -> int:
    return sum(server.count(f"/manga/{segment}/harbour{page}") for page in ("", "?page=1"))


async def test_results_come_as_sources_answer_and_keep_their_places(mina: Person, two_sources: WebServer) -> None:
    let_go = threading.Event()
    late = found("Harbour at Dawn")
    late.wait_for = let_go
    answers(two_sources, "mangahere", late)
    answers(two_sources, "mangapill", found("Harbour Lights"))
    sent = await mina.sends("harbour")
    first = await mina.sees(r"1 title\n⏳ Still asking: mangahere", after=sent)
    let_go.set()
    both = await mina.sees(r"2 titles$", after=sent)
    assert both["message_id"] == first["message_id"]
    labels = [one["text"] for one in buttons(both)]
    assert labels == ["Harbour Lights · mangapill", "Harbour at Dawn · mangahere"]
    assert buttons(first)[0]["callback_data"] == buttons(both)[0]["callback_data"]


async def test_a_source_that_is_down_is_said_and_the_others_count(mina: Person, two_sources: WebServer) -> None:
    answers(two_sources, "mangahere", as_json({"message": "down"}, 500))
    answers(two_sources, "mangapill", found("Harbour Lights"))
    sent = await mina.sends("harbour")
    await mina.sees(r"1 title\n⚠ Not reached: mangahere", after=sent)


async def test_answers_are_remembered_and_errors_are_not(mina: Person, junho: Person, two_sources: WebServer) -> None:
    answers(two_sources, "mangahere", as_json({"message": "down"}, 500))
    answers(two_sources, "mangapill", found("Harbour Lights"))
    sent = await mina.sends("harbour")
    await mina.sees("Not reached: mangahere", after=sent)
    answers(two_sources, "mangahere", found("Harbour at Dawn"))
    before = asked(two_sources, "mangapill")
    sent = await junho.sends("  harbour ")
    await junho.sees("2 titles$", after=sent)
    assert asked(two_sources, "mangapill") == before
