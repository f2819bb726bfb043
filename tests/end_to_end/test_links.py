"""Addresses that people copied from a source's site."""

import pytest

from tests.end_to_end.shelf import Shelf
from tests.person import Person

SITE = "https://mangapill.com"


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
    # What is known of a title by its chapters' ids alone is too little to follow it.
    picker = await mina.sees("Picked 1: 1", after=await mina.sends(f"{SITE}/chapters/{shelf.chapter(1)}"))
    await mina.presses("‹ Title", on=picker)
    assert (await mina.presses("^Follow$", on=picker))["alert"]
    for nonsense in ("https://example.org/<b>", f"{SITE}/", "http://["):
        sent = await mina.sends(nonsense)
        await mina.sees("I know no title or chapter at", after=sent)
    sent = await mina.sends(f"{SITE}/manga/8/nobody")
    await mina.sees("⚠ ", after=sent)
    assert await mina.breaches() == []
