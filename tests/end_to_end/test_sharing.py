"""What was delivered once goes to other chats; titles are opened by links."""

import re
import secrets

import pytest

from bot.local.telegram import StandIn
from tasks.jobs.store import JobStore
from tests.person import Message, Person, buttons

pytestmark = pytest.mark.usefixtures("worker", "bot")


def button(message: Message, text: str) -> Message:
    return next(one for one in buttons(message) if one["text"] == text)


def payload(address: str) -> str:
    found = re.fullmatch(r"https://t\.me/manhwa_local_bot\?start=([A-Za-z0-9_-]{1,64})", address)
    assert found
    return found[1]


async def test_a_delivered_file_goes_to_another_chat_without_a_second_upload(
    mina: Person, junho_in_group: Person, junho: Person, telegram: StandIn
) -> None:
    await mina.sends("/download demo lantern-1")
    file = await mina.receives_document()
    typed = button(file, "Share")["switch_inline_query_chosen_chat"]["query"]
    assert str(mina.who) not in typed
    offered = await junho_in_group.types(typed)
    assert [one["title"] for one in offered["results"]] == [file["document"]["file_name"]]
    sent = await junho_in_group.chooses(offered, offered["results"][0]["id"])
    shared = next(m for m in await junho_in_group.messages() if m["message_id"] == sent)
    assert shared["document"]["file_id"] == file["document"]["file_id"]
    assert shared["caption"] == file["caption"]
    # The link does the same in private.
    await junho.sends(f"/start {payload(button(file, 'Copy link')['copy_text']['text'])}")
    assert (await junho.receives_document())["document"]["file_id"] == file["document"]["file_id"]
    assert telegram.files.uploads == 1


async def test_what_anyone_got_before_is_sent_again_at_once(
    mina: Person, junho_in_group: Person, telegram: StandIn, store: JobStore
) -> None:
    await mina.sends("/download demo lantern-1 lantern-2")
    file = await mina.receives_document()
    await mina.sees("Done")
    asked = await junho_in_group.sends("/download demo lantern-1 lantern-2")
    again = await junho_in_group.receives_document()
    assert again["document"]["file_id"] == file["document"]["file_id"]
    assert again["caption"] == file["caption"]
    assert again["reply_to_message"]["message_id"] == asked
    assert button(again, "Share")
    assert telegram.files.uploads == 1
    assert (await store.figures()).ends == {"ready": 1}
    # An update that comes twice brings it once.
    before = len(await mina.messages())
    await mina.sends("/download demo lantern-1 lantern-2", twice=True)
    await mina.receives_document(after=file["message_id"])
    await mina.sends("/jobs")
    await mina.sees("no downloads running")
    assert len(await mina.messages()) == before + 4


async def test_history_gets_it_again(mina: Person, mina_in_group: Person, telegram: StandIn) -> None:
    await mina.sends("/history")
    await mina.sees("Nothing was delivered here yet")
    await mina.sends("/download demo lantern-1 lantern-2")
    await mina.sees("Done")
    await mina_in_group.sends("/download demo lantern-3")
    await mina_in_group.sees("Done")
    sent = await mina.sends("/history")
    listed = await mina.sees("1. The Lantern Keeper's Cat · ch 3\n2. The Lantern Keeper's Cat · ch 1–2$", after=sent)
    assert (await mina.presses("Get again 2", on=listed))["text"] == "Here it is."
    await mina.receives_document("1-2", after=sent)
    assert telegram.files.uploads == 2
    # A group sees what the group got.
    sent = await mina_in_group.sends("/history")
    await mina_in_group.sees("^1. The Lantern Keeper's Cat · ch 3$", after=sent)
    await mina.sends("/forget")
    await mina.sees("in a minute")
    sent = await mina.sends("/history")
    await mina.sees("Nothing was delivered here yet", after=sent)
    assert "too long ago" in (await mina.presses_data(listed, f"ga:{'0' * 32}"))["text"]


async def test_what_telegram_has_lost_is_downloaded_again(mina: Person, telegram: StandIn) -> None:
    await mina.sends("/download demo lantern-1")
    file = await mina.receives_document()
    await mina.sees("Done")
    lost = "Bad Request: wrong file identifier/HTTP URL specified"
    await mina.orders_fault(method="sendDocument", status=400, description=lost)
    await mina.sends("/download demo lantern-1")
    again = await mina.receives_document(after=file["message_id"])
    assert again["document"]["file_id"] != file["document"]["file_id"]
    assert telegram.files.uploads == 2


async def test_a_title_is_shared_as_a_card_that_opens_it(mina: Person, junho: Person, junho_in_group: Person) -> None:
    sent = await mina.sends("/search lantern")
    await mina.presses(".", on=await mina.sees("title", after=sent))
    card = await mina.sees("Authors", after=sent)
    offered = await junho_in_group.types(button(card, "Share")["switch_inline_query_chosen_chat"]["query"])
    sent = await junho_in_group.chooses(offered, offered["results"][0]["id"])
    shown = next(m for m in await junho_in_group.messages() if m["message_id"] == sent)
    assert "Lantern" in shown["text"]
    await junho.sends(f"/start {payload(button(shown, 'Pick chapters')['url'])}")
    await junho.sees("Authors")
    await junho.presses("Chapters")
    await junho.sees("Pick chapters, or answer")


async def test_a_search_in_any_chat(mina: Person) -> None:
    assert (await mina.types("la"))["results"] == []
    offered = await mina.types("  lantern ")
    assert len(offered["results"]) == 1
    assert "demo" in offered["results"][0]["description"]
    for nonsense in ("x" * 256, "<b>&", "f:" + "A" * 16, "t:" + secrets.token_urlsafe(24), "💥" * 200):
        assert (await mina.types(nonsense))["results"] == []
    assert await mina.breaches() == []


@pytest.mark.parametrize("words", ["x", "f" + "A" * 63, "t" + "0" * 24, "fAAAA-_AAAAAAAAAA", "<b>", "../../etc/passwd"])
async def test_a_link_that_never_was_or_is_no_more(mina: Person, words: str) -> None:
    sent = await mina.sends(f"/start {words}")
    await mina.sees("That link has expired", after=sent)
