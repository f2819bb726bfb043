"""Who may use the bot, who runs it, and what it keeps of whom."""

import pytest
from limits import RateLimitItemPerMinute
from redis import Redis

from bot import pacing
from bot.settings import BotSettings
from tests.conftest import running_bot
from tests.person import GROUP, JUNHO, MINA, SOFIA, Person, soon

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def run_by_mina(bot_settings: BotSettings) -> BotSettings:
    return bot_settings.model_copy(update={"admins": (MINA,)})


async def test_an_allow_list_names_chats_and_people(
    bot_settings: BotSettings, mina: Person, junho: Person, sofia_in_group: Person
) -> None:
    async with running_bot(bot_settings.model_copy(update={"allowed_chats": (GROUP, JUNHO)})):
        await mina.sends("/help")
        await mina.sees(f"not open to this chat.* {MINA}")
        await junho.sends("/help")
        await junho.sees("I download manga")
        await sofia_in_group.sends("/search lantern")
        await sofia_in_group.sees("1 title|titles")
        await mina.sends("/help")
        await mina.sends("lantern")
    assert len([m for m in await mina.messages() if m.get("from", {}).get("is_bot")]) == 1  # told once a minute


async def test_an_admin_bans_and_lifts(run_by_mina: BotSettings, mina: Person, junho: Person) -> None:
    async with running_bot(run_by_mina):
        sent = await junho.sends("/search lantern")
        results = await junho.sees("title", after=sent)
        await mina.sends(f"/ban {JUNHO}")
        await mina.sees(f"{JUNHO} can't use me any more")
        await junho.sends("/help")
        await junho.sees("You can't use this bot")
        refused = await junho.presses(".", on=results)
        assert (refused["alert"], refused["text"]) == (True, "You can't use this bot.")
        for words, answer in {
            f"/unban {JUNHO}": "can use me again",
            f"/unban {SOFIA}": "was not banned",
            f"/ban {MINA}": "admin can't be banned",
            "/ban": "Whom",
            "/ban 1e9": "Whom",
            "/unban ٣": "Whom",
        }.items():
            sent = await mina.sends(words)
            await mina.sees(answer, after=sent)
        sent = await junho.sends("/help")
        await junho.sees("I download manga", after=sent)


async def test_admins_commands_do_not_exist_for_others(run_by_mina: BotSettings, junho: Person) -> None:
    async with running_bot(run_by_mina):
        for command in ("/ban 101", "/unban 101", "/stats"):
            sent = await junho.sends(command)
            await junho.sees("I don't know that command", after=sent)


async def test_figures(run_by_mina: BotSettings, mina: Person) -> None:
    async with running_bot(run_by_mina):
        sent = await mina.sends("/download demo lantern-1")
        await mina.sees("Done", after=sent)
        sent = await mina.sends("/stats")
        told = await mina.sees("Jobs", after=sent)
    assert "queued 0, at work 0" in told["text"]
    assert "ready 1, cancelled 0, failed 0" in told["text"]
    assert "🟢 30 demo – up" in told["text"]
    assert "MB free" in told["text"]


async def test_who_sends_too_much_is_told_once(
    bot_settings: BotSettings, mina: Person, junho: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "ASKED", RateLimitItemPerMinute(3, namespace="asked"))
    async with running_bot(bot_settings):
        for _ in range(6):
            await mina.sends("/jobs")
        await mina.sees("That was a lot at once")
        await junho.sends("/jobs")
        await junho.sees("no downloads running")

        async def all_answered() -> bool:
            return len([m for m in await mina.messages() if "no downloads running" in m.get("text", "")]) == 3

        await soon(all_answered, "an answer to each of three")
    assert len([m for m in await mina.messages() if "a lot at once" in m.get("text", "")]) == 1
    assert await mina.breaches() == []


async def test_what_is_stored_of_a_person_goes(bot_settings: BotSettings, mina: Person) -> None:
    async with running_bot(bot_settings):
        sent = await mina.sends("/search lantern")
        results = await mina.sees("title", after=sent)
        await mina.presses(".", on=results)
        await mina.presses("Chapters")
        picker = await mina.sees("Pick chapters")
        sent = await mina.sends("/download demo lantern-1 lantern-2 lantern-3")
        await mina.sees("Queued|Downloading|Packing|Uploading|Done", after=sent)
        await mina.sends("/forget")
        await mina.sees("in a minute nothing about you")
        await mina.sees("Cancelled by Mina Park|Done", after=sent)
        assert "expired" in (await mina.presses("^1$", on=picker))["text"]
        with Redis(unix_socket_path=str(bot_settings.redis_socket), decode_responses=True) as redis:
            await soon(lambda: not list(redis.scan_iter(f"manhwa:bot:*:*:{MINA}")), "no watcher")
            assert not list(redis.scan_iter(f"manhwa:bot:*-of:{MINA}"))
            jobs = list(redis.scan_iter("manhwa:job:" + "?" * 16))
            assert jobs
            assert all(redis.hget(key, "requester") == "somebody" for key in jobs)
            await soon(lambda: all(0 < int(str(redis.ttl(key))) <= 60 for key in jobs), "records that go")
