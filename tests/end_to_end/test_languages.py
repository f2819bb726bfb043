"""People are answered in the language of their app, or the one they chose; groups in theirs."""

import pytest

from bot.local.telegram import StandIn
from tests.person import GROUP, JUNHO, SOFIA, Person, buttons, soon

pytestmark = pytest.mark.usefixtures("worker", "bot")


async def test_the_whole_way_in_korean(telegram: StandIn) -> None:
    async with Person(telegram.url, JUNHO, language="ko") as junho:
        await junho.sends("/start")
        await junho.sees("만화 챕터를 내려받아")
        sent = await junho.sends("lantern")
        await junho.presses(".", on=await junho.sees("작품 1개", after=sent))
        await junho.presses("챕터", on=await junho.sees("작가", after=sent))
        picker = await junho.sees("챕터를 고르거나", after=sent)
        assert (await junho.presses("다운로드", on=picker))["text"] == "먼저 챕터를 하나 이상 고르세요."
        await junho.presses("^1$", on=picker)
        await junho.sees("1개 선택: 1")
        await junho.presses("다운로드", on=picker)
        file = await junho.receives_document()
        assert "1화 · 6페이지" in file["caption"]
        assert [b["text"] for b in buttons(file)] == ["공유", "링크 복사"]
        await junho.sees("완료 · 6페이지")


async def test_what_was_sent_before_is_told_in_the_language_of_who_asks_now(mina: Person, telegram: StandIn) -> None:
    await mina.sends("/download demo lantern-1")
    assert "6 pages" in (await mina.receives_document())["caption"]
    await mina.sees("Done")
    async with Person(telegram.url, SOFIA, language="es") as sofia:
        await sofia.sends("/download demo lantern-1")
        assert "6 páginas" in (await sofia.receives_document())["caption"]
    assert telegram.files.uploads == 1


async def test_a_group_speaks_its_own_language(mina_in_group: Person, telegram: StandIn) -> None:
    sent = await mina_in_group.sends("/settings")
    screen = await mina_in_group.sees("Settings of this group", after=sent)
    await mina_in_group.presses("^My language", on=screen)
    await mina_in_group.sees_button("العربية")
    await mina_in_group.presses("العربية", on=screen)
    await mina_in_group.sees("اللغة التي أتحدث بها")
    async with Person(telegram.url, JUNHO, chat=GROUP, thread=2, language="ko") as junho:
        sent = await junho.sends("/download demo lantern-1 lantern-2")
        done = await junho.sees("تم · ", after=sent)
        assert all(line.startswith("\u200f") for line in done["text"].splitlines())
    assert await mina_in_group.breaches() == []


async def test_each_language_and_kind_of_chat_has_its_menu(telegram: StandIn) -> None:
    wanted = {"default ", "all_private_chats ko", "all_group_chats pt", "all_chat_administrators ar"}
    await soon(lambda: wanted <= set(telegram.world.commands), "menus")
    korean = {one["command"]: one["description"] for one in telegram.world.commands["all_private_chats ko"]}
    assert korean["search"] == "작품 찾기"
    in_groups = {one["command"] for one in telegram.world.commands["all_group_chats "]}
    assert "settings" not in in_groups
    assert "settings" in {one["command"] for one in telegram.world.commands["all_chat_administrators "]}
