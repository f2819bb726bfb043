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
