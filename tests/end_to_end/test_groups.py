"""People who read together: joining, one message for many downloads, admins who are not seen, channels."""

import re
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from bot.local.telegram import StandIn
from bot.local.telegram.world import ANONYMOUS, CHANNEL
from bot.settings import BotSettings
from tests.conftest import on_database, running_bot
from tests.person import GROUP, JUNHO, MINA, SOFIA, Message, Person, buttons, soon

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
async def idle_bot(bot_settings: BotSettings) -> AsyncIterator[BotSettings]:
    """A bot whose queue no worker takes from: its jobs stay in line."""
    settings = on_database(bot_settings, 2).model_copy(update={"max_active_jobs_per_user": 20})
    async with running_bot(settings):
        yield settings


@pytest.fixture
async def mina_posts(telegram: StandIn) -> AsyncIterator[Person]:
    """Mina in her channel."""
    async with Person(telegram.url, MINA, chat=CHANNEL.id) as person:
        yield person


def labels(message: Message) -> list[str]:
    return [button["text"] for button in buttons(message)]


@pytest.mark.usefixtures("idle_bot")
async def test_others_join_and_it_goes_on_until_the_last_one_leaves(
    junho_in_group: Person, sofia_in_group: Person, mina_in_group: Person
) -> None:
    asked = await junho_in_group.sends("/download demo lantern-1")
    status = await junho_in_group.sees("Queued", after=asked)
    assert labels(status) == ["Cancel", "Join"]
    assert "already" in (await junho_in_group.presses("Join", on=status))["text"]
    refused = await sofia_in_group.presses("Cancel", on=status)
    assert (refused["alert"], "Only who asked" in refused["text"]) == (True, True)
    assert "as well" in (await sofia_in_group.presses("Join", on=status))["text"]
    await sofia_in_group.sees("For 준호, Sofía")
    # Asking for the same joins as well, and takes no message.
    asked = await mina_in_group.sends("/download demo lantern-1")
    await mina_in_group.sees("For 준호, Sofía, Mina Park")
    assert "others do" in (await junho_in_group.presses("Cancel", on=status))["text"]
    await sofia_in_group.sees("For Sofía, Mina Park")
    await sofia_in_group.presses("Cancel", on=status)
    # Mina is the group's admin, and the last one.
    assert (await mina_in_group.presses("Cancel", on=status))["text"] == "Cancelling …"
    await mina_in_group.sees("Cancelled by Mina Park")
    assert len([m for m in await mina_in_group.messages() if m.get("from", {}).get("is_bot")]) == 1
    assert await mina_in_group.breaches() == []


@pytest.mark.usefixtures("bot")
async def test_who_joined_is_named_under_the_file(
    junho_in_group: Person, sofia_in_group: Person, bot_settings: BotSettings
) -> None:
    asked = await junho_in_group.sends("/download demo " + " ".join(f"lantern-{n}" for n in range(1, 12)))
    status = await junho_in_group.sees_button("Join")
    await sofia_in_group.presses("Join", on=status)
    file = await junho_in_group.receives_document(after=asked)
    mention = next(e for e in file["caption_entities"] if e["type"] == "text_link")
    assert mention["url"] == f"tg://user?id={SOFIA}"
    assert "For Sofía" in file["caption"]
    with Redis(unix_socket_path=str(bot_settings.redis_socket), decode_responses=True) as redis:
        await junho_in_group.sees("Done", after=asked)
        await soon(lambda: not redis.exists(f"manhwa:bot:watchers-of:{SOFIA}"), "nobody waits any more")


async def test_one_message_tells_of_many_downloads(
    idle_bot: BotSettings, junho_in_group: Person, sofia_in_group: Person, telegram: StandIn
) -> None:
    for number in range(1, 5):
        who = junho_in_group if number % 2 else sofia_in_group
        await who.sends(f"/download demo lantern-{number}")
    board = await sofia_in_group.sees("4 downloads here")
    assert len(re.findall("⏳", board["text"])) == 4
    # Those that came when the message was there already have no other.
    said = [m for m in await junho_in_group.messages() if m.get("from", {}).get("is_bot")]
    assert len(said) < 5  # one of them is the board
    assert "👀" in telegram.world.reactions.values()
    refused = await sofia_in_group.presses("^Cancel 1$", on=board)
    assert refused["alert"]
    for who in (junho_in_group, sofia_in_group, junho_in_group, sofia_in_group):
        await who.sends("/cancel")
    for number in range(1, 5):
        await junho_in_group.sees(rf"· ch {number} \(1\)\n✖ Cancelled by")
    boards = telegram.world.messages.values()
    await soon(lambda: not any("here" in (m.text or "") for m in boards), "the board is gone")
    assert await junho_in_group.breaches() == []


async def test_one_message_goes_on_with_the_next_bot(
    bot_settings: BotSettings, junho_in_group: Person, telegram: StandIn
) -> None:
    settings = on_database(bot_settings, 2).model_copy(update={"max_active_jobs_per_user": 20})
    async with running_bot(settings):
        for number in range(1, 4):
            await junho_in_group.sends(f"/download demo lantern-{number}")
        await junho_in_group.sees("3 downloads here")
        with Redis(unix_socket_path=str(settings.redis_socket), db=2) as redis:
            board = f"manhwa:bot:board:{GROUP}:{junho_in_group.thread}"
            await soon(lambda: redis.hexists(board, "message_id"), "the bot knows that it was sent")
    async with running_bot(settings):
        await junho_in_group.sends("/download demo lantern-4")
        await junho_in_group.sees("4 downloads here")
        boards = [m for m in await junho_in_group.messages() if "downloads here" in m.get("text", "")]
        assert len(boards) == 1
        # The bot is gone before the board is, and nobody waits any more.
        await junho_in_group.orders_fault(method="deleteMessage", status=500, description="Internal Server Error")
        for _ in range(4):
            await junho_in_group.sends("/cancel")
        await soon(lambda: telegram.faults.used("deleteMessage"), "the bot tries to remove the board")
    async with running_bot(settings):
        messages = telegram.world.messages
        await soon(
            lambda: not any("download" in (m.text or "") and "here" in (m.text or "") for m in messages.values()),
            "gone",
        )


@pytest.mark.usefixtures("bot")
async def test_an_admin_who_is_not_seen(mina_in_group: Person, junho_in_group: Person) -> None:
    asked = await mina_in_group.sends("/search lantern", anonymous=True)
    results = await mina_in_group.sees("1 title", after=asked)
    # The press comes from herself: what was opened in the group's name belongs to its admins.
    refused = await junho_in_group.presses(".", on=results)
    assert (refused["alert"], "Somebody else" in refused["text"]) == (True, True)
    await mina_in_group.presses(".", on=results)
    await mina_in_group.sees("Authors", after=asked)
    asked = await mina_in_group.sends("/download demo lantern-1", anonymous=True)
    file = await mina_in_group.receives_document(after=asked)
    assert str(ANONYMOUS.id) not in str(buttons(file))


@pytest.mark.usefixtures("bot")
async def test_a_channel(mina_posts: Person, junho: Person, telegram: StandIn) -> None:
    asked = await mina_posts.sends("/search lantern")
    results = await mina_posts.sees("1 title", after=asked)
    async with Person(telegram.url, JUNHO, chat=CHANNEL.id) as reader:
        assert (await reader.presses(".", on=results))["alert"]
    await mina_posts.presses(".", on=results)
    await mina_posts.presses("Chapters", on=await mina_posts.sees("Authors", after=asked))
    picker = await mina_posts.sees("Pick chapters")
    await mina_posts.presses("^1$", on=picker)
    await mina_posts.sees("Picked 1")
    await mina_posts.presses("Download", on=picker)
    await mina_posts.receives_document(after=asked)
    # What is said there to its readers is none of the bot's business.
    said = len(await mina_posts.messages())
    for _ in range(3):
        await mina_posts.sends("A new chapter tomorrow!")
    await mina_posts.sends("/jobs")
    await mina_posts.sees("no downloads running")
    assert len(await mina_posts.messages()) == said + 5


@pytest.mark.usefixtures("bot")
async def test_picking_in_private_for_the_group(
    junho_in_group: Person, junho: Person, sofia_in_group: Person, telegram: StandIn
) -> None:
    asked = await junho_in_group.sends("/search lantern")
    await junho_in_group.presses(".", on=await junho_in_group.sees("title", after=asked))
    card = await junho_in_group.sees_button("Pick in private")
    address = next(b["url"] for b in buttons(card) if b["text"] == "Pick in private")
    payload = address.partition("?start=")[2]
    assert str(JUNHO) not in payload
    await junho.sends(f"/start {payload}")
    picker = await junho.sees("For Reading club")
    await junho.presses("^2$", on=picker)
    await junho.sees("Picked 1")
    told = await junho.presses("Download", on=picker)
    assert (told["alert"], "Reading club" in told["text"]) == (True, True)
    file = await junho_in_group.receives_document(after=asked)
    assert file["reply_to_message"]["message_id"] == asked
    # Who has left the group meanwhile picks nothing for it.
    telegram.methods.left.add((GROUP, JUNHO))
    assert "not in that group" in (await junho.presses("Download", on=picker))["text"]
    sent = await junho.sends(f"/start {payload}")
    await junho.sees("not in that group", after=sent)


@pytest.mark.usefixtures("bot")
async def test_a_group_hears_little(junho_in_group: Person, telegram: StandIn) -> None:
    asked = await junho_in_group.sends("/search lantern")
    await junho_in_group.presses(".", on=await junho_in_group.sees("title", after=asked))
    await junho_in_group.presses("Chapters", on=await junho_in_group.sees("Authors", after=asked))
    picker = await junho_in_group.sees("Pick chapters")
    said = await junho_in_group.sends("1-3", reply_to=picker)
    picker = await junho_in_group.sees("Picked 4: 1–2, 2.5, 3")
    assert telegram.world.reactions[GROUP, said] == "👌"
    # A group may allow no reactions: then it is said.
    await junho_in_group.orders_fault(
        method="setMessageReaction", status=400, description="Bad Request: REACTION_INVALID"
    )
    said = await junho_in_group.sends("2", reply_to=picker)
    await junho_in_group.sees("Picked.", after=said)
    # People may talk to each other, even where the bot is shown it.
    for _ in range(40):
        await junho_in_group.sends("what a chapter!")
    said = await junho_in_group.sends("/jobs")
    await junho_in_group.sees("no downloads running", after=said)


async def test_a_menu_that_only_one_person_sees(
    bot_settings: BotSettings, junho_in_group: Person, sofia_in_group: Person
) -> None:
    async with running_bot(bot_settings.model_copy(update={"ephemeral_menus": True})):
        asked = await junho_in_group.sends("/search lantern")
        results = await junho_in_group.sees("title", after=asked)
        await junho_in_group.presses(".", on=results)
        card = await junho_in_group.sees("Authors")
        assert card["only_for"] == junho_in_group.who
        assert card["message_id"] not in [m["message_id"] for m in await sofia_in_group.messages()]
        assert "Pick in private" not in labels(card)
        await junho_in_group.presses("Chapters", on=card)
        await junho_in_group.sees("Pick chapters")
        await junho_in_group.presses("^1$", on=card)
        await junho_in_group.sees("Picked 1: 1")
        await junho_in_group.presses("Download", on=card)
        await sofia_in_group.sees("For 준호")
        await sofia_in_group.receives_document()
        # A server that has none: the title opens where all see it.
        await junho_in_group.orders_fault(
            method="sendMessage", status=400, description="Bad Request: EPHEMERAL_MESSAGE_NOT_ALLOWED"
        )
        await junho_in_group.presses(".", on=results)
        await sofia_in_group.sees_button("Pick in private")
    assert await junho_in_group.breaches() == []
