"""`/settings` of people and groups."""

import json
import zipfile
from pathlib import Path

import pikepdf
import pytest

from bot.local.telegram import StandIn
from tests.person import GROUP, MINA, Message, Person, buttons

pytestmark = pytest.mark.usefixtures("worker", "bot")


async def choose(person: Person, screen: Message, name: str, choice: str) -> None:
    await person.presses(f"^{name}", on=screen)
    await person.sees_button(f"^(✅ )?{choice}$")
    await person.presses(f"^(✅ )?{choice}$", on=screen)
    await person.sees_button(f"^✅ {choice}$")
    await person.presses("^‹", on=screen)
    await person.sees_button(f"{name}.*{choice}")


async def test_format_and_files(mina: Person, tmp_path: Path) -> None:
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    await choose(mina, screen, "File format", "CBZ")
    await choose(mina, screen, "Files", "one for each chapter")
    await choose(mina, screen, "Page quality", "smaller")
    await mina.sends("/download demo hills-1 hills-2")
    first = await mina.receives_document(r"- 1 \(part 1 of 2\)\.cbz$")
    second = await mina.receives_document(r"- 2 \(part 2 of 2\)\.cbz$")
    assert "part 2/2" in second["caption"]
    await mina.sees("Done")
    with zipfile.ZipFile(await mina.saves(first, tmp_path / "1.cbz")) as archive:
        assert "ComicInfo.xml" in archive.namelist()
        assert json.loads(archive.read("manifest.json"))["quality"] == "smaller"
    await choose(mina, screen, "File format", "as usual")
    await choose(mina, screen, "Files", "one for all")
    await mina.sends("/download demo hills-1 hills-2")
    await mina.receives_document(r"- 1-2\.zip$")


async def test_books(mina: Person, tmp_path: Path) -> None:
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    await choose(mina, screen, "File format", "PDF")
    sent = await mina.sends("/download demo falling-1 lantern-1")
    book = await mina.receives_document(r"\.pdf$", after=sent)
    with pikepdf.open(await mina.saves(book, tmp_path / "x.pdf")) as pdf:
        # Its long strips are shown in parts.
        assert len(pdf.pages) == 13
    await choose(mina, screen, "File format", "EPUB")
    sent = await mina.sends("/download demo falling-1 hills-1")
    book = await mina.receives_document(r"\.epub$", after=sent)
    with zipfile.ZipFile(await mina.saves(book, tmp_path / "x.epub")) as epub:
        assert len([name for name in epub.namelist() if name.startswith("images/")]) == 11
    await mina.sees("Done", after=sent)


async def test_strips_are_cut_and_pages_are_smaller_where_that_was_chosen(mina: Person, tmp_path: Path) -> None:
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    await choose(mina, screen, "Long strips", "cut between panels")
    await choose(mina, screen, "Page quality", "smaller, WebP")
    await choose(mina, screen, "Width of smaller pages", "800 pixels")
    sent = await mina.sends("/download demo falling-1")
    file = await mina.receives_document(r"\.zip$", after=sent)
    assert "3 pages" in file["caption"]
    with zipfile.ZipFile(await mina.saves(file, tmp_path / "x.zip")) as archive:
        pages = [Path(name).name for name in archive.namelist() if name != "manifest.json"]
    assert pages[:2] == ["001-01.webp", "001-02.webp"]
    assert pages == sorted(pages)


async def test_a_groups_settings_are_its_admins(
    mina_in_group: Person, junho_in_group: Person, mina: Person, junho: Person
) -> None:
    await mina.sends("/settings")
    await choose(mina, await mina.sees("Your settings"), "File format", "CBZ")
    sent = await junho_in_group.sends("/settings")
    told = await junho_in_group.sees("its admins choose", after=sent)
    await junho.sends("/start " + buttons(told)[0]["url"].partition("?start=")[2])
    await junho.sees("Your settings")
    sent = await mina_in_group.sends("/settings")
    screen = await mina_in_group.sees("Settings of this group", after=sent)
    refused = await junho_in_group.presses("^File format", on=screen)
    assert (refused["alert"], "can't change" in refused["text"]) == (True, True)
    await choose(mina_in_group, screen, "File format", "ZIP")
    sent = await mina_in_group.sends("/download demo lantern-1")
    await mina_in_group.receives_document(r"\.zip$", after=sent)
    sent = await mina.sends("/download demo lantern-1")
    await mina.receives_document(r"\.cbz$", after=sent)


async def test_the_language_is_changed_at_once(mina: Person) -> None:
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    await mina.presses("^My language", on=screen)
    await mina.sees_button("^Español$")
    await mina.presses("^Español$", on=screen)
    await mina.sees("El idioma")
    await mina.sends("/jobs")
    await mina.sees("No tienes descargas")
    await mina.sends("/forget")
    await mina.sees("tus menús y ajustes borrados")
    sent = await mina.sends("/jobs")
    await mina.sees("no downloads running", after=sent)


async def test_forged_settings(mina: Person, junho: Person, telegram: StandIn) -> None:
    await mina.sends("/settings")
    screen = await mina.sees("Your settings")
    for data in (
        f"sc:{GROUP}:format:0",
        f"sc:{junho.who}:format:0",
        f"sc:{MINA}:format:99",
        f"sc:{MINA}:nonsense:0",
        f"sc:{MINA}:format",
        "sc:x:format:0",
        f"st:{GROUP}:rating",
        f"sl:{'9' * 40}",
    ):
        answer = await mina.presses_data(screen, data)
        assert (answer["alert"], bool(answer["text"])) == (True, True), data
    assert telegram.world.breaches == []


async def test_what_a_group_does_not_allow(mina_in_group: Person) -> None:
    sent = await mina_in_group.sends("/settings")
    screen = await mina_in_group.sees("Settings of this group", after=sent)
    await choose(mina_in_group, screen, "Allowed here", "safe")
    sent = await mina_in_group.sends("/search lantern")
    await mina_in_group.sees("1 title", after=sent)
