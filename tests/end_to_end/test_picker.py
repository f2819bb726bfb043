"""The chapter picker, as people press it."""

import asyncio
import re

import pytest

from tasks.jobs.store import JobStore
from tests.person import Message, Person, buttons

pytestmark = pytest.mark.usefixtures("worker", "bot")


async def open_picker(person: Person) -> Message:
    sent = await person.sends("/search lantern")
    await person.presses(".", on=await person.sees("title", after=sent))
    await person.presses("Chapters", on=await person.sees("Authors", after=sent))
    return await person.sees("Pick chapters, or answer", after=sent)


def ticked(message: Message) -> list[str]:
    return [b["text"].removeprefix("✅ ") for b in buttons(message) if b["text"].startswith("✅")]


async def test_a_range_is_its_first_and_its_last(mina: Person, store: JobStore) -> None:
    await store.remember_finished(1, 5e6)
    picker = await open_picker(mina)
    await mina.presses("^3$")
    await mina.sees("Picked 1: 3")
    await mina.presses("^Range$", on=picker)
    await mina.sees("Press the first chapter of the range")
    await mina.presses(r"^2\.5$", on=picker)
    await mina.sees(r"Range from 2\.5: press the last chapter")
    await mina.presses("^1$", on=picker)
    shown = await mina.sees(r"Picked 4: 1–2, 2\.5, 3 · about 20 MB")
    assert ticked(shown) == ["1", "2", "2.5", "3"]
    # From then on chapters toggle again.
    await mina.presses("✅ 2$", on=picker)
    await mina.sees("Picked 3")


async def test_a_range_can_be_given_up(mina: Person) -> None:
    picker = await open_picker(mina)
    await mina.presses("^Range$", on=picker)
    await mina.sees("Press the first chapter of the range")
    await mina.presses("^Range$", on=picker)
    await mina.presses("^2$", on=picker)
    shown = await mina.sees("Picked 1: 2$")
    assert ticked(shown) == ["2"]


async def test_fifty_taps_in_a_second_end_where_they_should(mina: Person) -> None:
    picker = await open_picker(mina)
    await asyncio.gather(*(mina.presses("(^|✅ )1$", on=picker) for _ in range(50)))
    await mina.presses("^2$", on=picker)
    shown = await mina.sees("Picked 1: 2$")
    assert ticked(shown) == ["2"]
    assert await mina.breaches() == []


async def test_a_keyboard_belongs_to_who_opened_it(junho_in_group: Person, sofia_in_group: Person) -> None:
    picker = await open_picker(junho_in_group)
    answers = await asyncio.gather(junho_in_group.presses("^1$", on=picker), sofia_in_group.presses("^2$", on=picker))
    assert [answer["alert"] for answer in answers] == [False, True]
    shown = await junho_in_group.sees("Picked 1: 1$")
    assert ticked(shown) == ["1"]
    assert re.match("Somebody else opened this", answers[1]["text"])


async def open_hills(person: Person) -> Message:
    sent = await person.sends("/search hills")
    await person.presses(".", on=await person.sees("title", after=sent))
    await person.presses("Chapters", on=await person.sees("Authors", after=sent))
    return await person.sees(r"Post for the Hills · \d chapters", after=sent)


async def test_language_and_group_are_chosen_and_remembered(mina: Person) -> None:
    picker = await open_hills(mina)
    await mina.presses("^1$", on=picker)
    await mina.presses("^3$", on=picker)
    await mina.sees("Picked 2: 1, 3")
    await mina.presses("Any group", on=picker)
    await mina.sees("Whose chapters first")
    await mina.presses("Valley Readers", on=picker)
    # What was picked stays picked, and what the group did not do is named.
    await mina.sees("Picked 2: 1, 3\nOf Demo Scans: 3$")
    await mina.presses("Download", on=picker)
    assert "👥 Valley Readers, Demo Scans" in (await mina.receives_document())["caption"]
    again = await open_hills(mina)
    assert "👥 Valley Readers" in [b["text"] for b in buttons(again)]
    await mina.presses("🌐 English", on=again)
    await mina.sees("Chapters in which language")
    await mina.presses("Spanish", on=again)
    await mina.sees("Hills · 2 chapters · demo\nPick chapters")
    await open_hills(mina)
    await mina.sees("Hills · 2 chapters")
    sent = await mina.sends("/search lantern")
    await mina.presses(".", on=await mina.sees("title", after=sent))
    await mina.presses("Chapters", on=await mina.sees("Authors", after=sent))
    await mina.sees("Nothing in Spanish: these are in English", after=sent)


async def test_what_can_not_be_had_is_shown_with_its_link(mina: Person) -> None:
    picker = await open_hills(mina)
    elsewhere = next(b for b in buttons(picker) if b["text"].startswith("6"))
    assert elsewhere == {"text": "6 ↗", "url": "https://example.org/post-for-the-hills/6"}
    await mina.presses("^All$", on=picker)
    await mina.sees("Picked 5: 1–5")
    menu = next(b["callback_data"] for b in buttons(picker) if b["text"] == "1").split(":")[1]
    assert "no pages" in (await mina.presses_data(picker, f"tg:{menu}:5"))["text"]
    sent = await mina.sends("6")
    await mina.sees("no pages of this chapter", after=sent)
    await mina.sends("5-6")
    await mina.sees("Picked 1: 5$")


async def test_odd_selections(mina: Person) -> None:
    picker = await open_picker(mina)
    odd = ["9999-1, x, -", "1-", "latest 99999", "0", "-", "1,,2", "1" * 400, "<b>1</b>", "1-5; vol 9"]
    for text in odd:
        sent = await mina.sends(text, reply_to=picker)
        await mina.sees("Picked|don't understand|No chapter", after=sent)
    assert await mina.breaches() == []


async def test_forged_and_truncated_presses(mina: Person, junho_in_group: Person) -> None:
    picker = await open_picker(mina)
    own = [b["callback_data"] for b in buttons(picker) if "callback_data" in b]
    menu = own[0].split(":")[1]
    forged = [data[: len(data) // 2] for data in {d.split(":")[0]: d for d in own}.values()]
    forged += [f"tg:{menu}:{place}" for place in (-1, 999, "x", "9" * 40)]
    forged += [f"pe:{menu}:l:99", f"pe:{menu}:g:99", f"pe:{menu}:x:0", f"ro:{menu}:0", f"cd:{menu}x", "x", "💥", ":::"]
    for data in forged:
        answer = await mina.presses_data(picker, data)
        assert (answer["alert"], bool(answer["text"])) == (True, True), data
    # Pages that there are not lead to the nearest one.
    for page in (-5, 999):
        assert not (await mina.presses_data(picker, f"ch:{menu}:{page}"))["alert"]
        await mina.presses_data(picker, f"pk:{menu}:p:{page}")
    # The same button in another chat is still hers alone.
    theirs = await open_picker(junho_in_group)
    refused = await junho_in_group.presses_data(theirs, own[0])
    assert (refused["alert"], "Somebody else" in refused["text"]) == (True, True)
    await mina.presses("^Clear$", on=picker)
    assert await mina.breaches() == []


async def test_two_people_press_the_same_keyboard_at_once(junho_in_group: Person, sofia_in_group: Person) -> None:
    picker = await open_picker(junho_in_group)
    presses = [person.presses("^[1-5]$", on=picker) for person in (junho_in_group, sofia_in_group) for _ in range(5)]
    answers = await asyncio.gather(*presses)
    assert [answer["alert"] for answer in answers] == [False] * 5 + [True] * 5


async def test_what_is_picked_is_shared(mina: Person, junho_in_group: Person, junho: Person) -> None:
    picker = await open_hills(mina)
    await mina.presses("Any group", on=picker)
    await mina.presses("Valley Readers", on=picker)
    await mina.presses("^2$", on=picker)
    await mina.presses("^4$", on=picker)
    shown = await mina.sees("Picked 2: 2, 4")
    typed = next(b for b in buttons(shown) if b["text"] == "Share")["switch_inline_query_chosen_chat"]["query"]
    assert (await junho_in_group.types(typed))["results"] == []  # what she picks is hers
    offered = await mina.types(typed)
    assert "ch 2, 4" in offered["results"][0]["description"]
    sent = await mina.chooses(offered, offered["results"][0]["id"])
    message = next(m for m in await mina.messages() if m["message_id"] == sent)
    address = buttons(message)[0]["url"]
    await junho.sends("/start " + address.partition("?start=")[2])
    await junho.sees("Picked 2: 2, 4\nOf Demo Scans: 4")


async def test_a_title_is_opened_in_a_group(mina: Person, mina_in_group: Person) -> None:
    sent = await mina.sends("/search lantern")
    await mina.presses(".", on=await mina.sees("title", after=sent))
    card = await mina.sees_button("Open in a group")
    address = next(b["url"] for b in buttons(card) if b["text"] == "Open in a group")
    payload = re.fullmatch(r"https://t\.me/manhwa_local_bot\?startgroup=([A-Za-z0-9_-]{1,64})", address)
    assert payload
    sent = await mina_in_group.sends(f"/start@manhwa_local_bot {payload[1]}")
    await mina_in_group.sees("Authors", after=sent)
