"""Several sources at once, in one message that fills as they answer."""

import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from bot.settings import BotSettings
from tasks.sources.health import PATIENCE
from tests.conftest import running_bot
from tests.person import Person, buttons
from tests.web_server import Reply, WebServer, as_json

REFUSES = "The source home does not accept our login. Whoever runs the bot has to correct it."


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


async def test_a_title_that_was_opened_stays_when_another_source_answers(
    mina: Person, junho: Person, two_sources: WebServer
) -> None:
    let_go = threading.Event()
    late = found("Harbour at Dawn")
    late.wait_for = let_go
    answers(two_sources, "mangahere", late, found("Harbour at Dawn"))
    answers(two_sources, "mangapill", found("Harbour Lights"))
    details = as_json({"id": "harbour-lights", "title": "Harbour Lights", "chapters": []})
    two_sources.on("/manga/mangapill/info?id=harbour-lights", details)
    sent = await mina.sends("harbour")
    await mina.presses("Harbour Lights", on=await mina.sees("Still asking: mangahere", after=sent))
    card = await mina.sees_button("‹ Results")
    let_go.set()
    await junho.sees("2 titles", after=await junho.sends("harbour"))
    await mina.presses("‹ Results", on=card)
    assert len(buttons(await mina.sees("2 titles", after=sent))) == 2


async def test_a_source_that_is_down_is_said_and_the_others_count(mina: Person, two_sources: WebServer) -> None:
    answers(two_sources, "mangahere", as_json({"message": "down"}, 500))
    answers(two_sources, "mangapill", found("Harbour Lights"))
    sent = await mina.sends("harbour")
    await mina.sees(r"1 title\n⚠ Not reached: mangahere", after=sent)


async def test_a_source_that_refuses_the_login_is_no_source_that_is_down(
    mina: Person, bot_settings: BotSettings, source_server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    source_server.reset()
    source_server.otherwise = Reply(b"", status=401)
    address = source_server.url.replace("//", "//mina:hunter2@") + "/opds"
    settings = BotSettings(_env_file=None, opds_catalogs=f"home={address}", mangadex_api_url="")
    settings = bot_settings.model_copy(update={"opds_catalogs": settings.opds_catalogs})
    async with running_bot(settings) as api, httpx.AsyncClient(base_url=api, timeout=40) as program:
        sent = 0
        for _ in range(PATIENCE + 1):  # also while it is not asked any more
            sent = await mina.sends("harbour")
            assert "reached" not in (await mina.sees(REFUSES, after=sent))["text"]
        sent = await mina.sends("/sources")
        await mina.sees(f"down: {REFUSES}", after=sent)
        answer = await program.get("/api/search", params={"query": "harbour"})
        assert (answer.status_code, answer.json()) == (503, {"error": "source_refuses", "message": REFUSES})
    assert "look at its entry in OPDS_CATALOGS" in caplog.text
    assert "hunter2" not in caplog.text


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


async def test_the_first_source_that_was_chosen_comes_first(mina: Person, two_sources: WebServer) -> None:
    for segment, title in (("mangahere", "Harbour at Dawn"), ("mangapill", "Harbour Lights")):
        answers(two_sources, segment, found(title))
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    for first in ("mangapill", "mangahere", "mangapill"):
        await mina.presses("^First source", on=screen)
        await mina.sees_button(f"^{first}$")
        await mina.presses(f"^(✅ )?{first}$", on=screen)
        await mina.sees_button(f"^✅ {first}$")
        await mina.presses("^‹", on=screen)
        await mina.sees_button(f"First source: {first}")
        sent = await mina.sends("harbour")
        shown = await mina.sees(r"2 titles$", after=sent)
        assert buttons(shown)[0]["text"].endswith(first)


async def test_titles_that_a_group_does_not_allow_are_not_shown(
    mina: Person, mina_in_group: Person, bot_settings: BotSettings, source_server: WebServer
) -> None:
    source_server.reset()
    results = [
        {"id": "1", "title": "Harbour Lights", "contentRating": "safe"},
        {"id": "2", "title": "Harbour Nights", "contentRating": "erotica"},
    ]
    source_server.on("/manga/mangadex/harbour?page=1", as_json({"results": results}))
    settings = bot_settings.model_copy(update={"mangapi_url": source_server.url, "consumet_providers": ("mangadex",)})
    async with running_bot(settings):
        sent = await mina_in_group.sends("/settings")
        screen = await mina_in_group.sees("Settings of this group", after=sent)
        await mina_in_group.presses("^Allowed here", on=screen)
        await mina_in_group.sees_button("^suggestive$")
        await mina_in_group.presses("^suggestive$", on=screen)
        await mina_in_group.sees_button("^✅ suggestive$")
        sent = await mina_in_group.sends("/search harbour")
        shown = await mina_in_group.sees("1 title\n1 title is not shown", after=sent)
        assert [b["text"] for b in buttons(shown)] == ["Harbour Lights"]
        # Nor by a link.
        offered = await mina.types("harbour")
        sent = await mina_in_group.chooses(offered, offered["results"][1]["id"])
        shared = next(m for m in await mina_in_group.messages() if m["message_id"] == sent)
        payload = buttons(shared)[0]["url"].partition("?start=")[2]
        sent = await mina_in_group.sends(f"/start {payload}")
        await mina_in_group.sees("not allowed in this group", after=sent)
        sent = await mina.sends("harbour")
        await mina.sees("2 titles$", after=sent)
