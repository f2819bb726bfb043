"""Two processes edit the same message, on a real Redis and the stand-in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.app import open_bot
from bot.background import Background
from bot.editing import Editor, Screen, Spot
from bot.local.telegram import StandIn
from bot.memory.edits import Edits
from bot.pacing import Pacing
from bot.settings import BotSettings
from tasks.resources import open_redis
from tests.person import MINA, soon


class Scene:
    """A message, and an editor of it in each of two processes."""

    def __init__(self, telegram: StandIn, edits: Edits, spot: Spot, one: Editor, other: Editor) -> None:
        self._telegram = telegram
        self._edits = edits
        self.spot = spot
        self.one = one
        self.other = other

    async def shows(self, text: str) -> None:
        await soon(lambda: self.text == text, f"the message says {text}, not {self.text}")

    async def turn(self, number: int) -> None:
        """Wait until so many edits were begun."""
        while (await self._edits.latest(self.spot))[0] < number:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.01)

    @property
    def text(self) -> str | None:
        message = self._telegram.world.message(self.spot.chat_id, self.spot.message_id)
        assert message
        return message.text


@pytest.fixture
async def scene(bot_settings: BotSettings, telegram: StandIn) -> AsyncIterator[Scene]:
    async with open_redis(bot_settings.redis_url) as redis, open_bot(bot_settings) as bot, Background() as background:
        telegram.methods.rates = None  # nobody paces the first message
        sent = await bot.send_message(MINA, "nothing yet")
        editors = [Editor(bot, Pacing(redis), Edits(redis), background) for _ in range(2)]
        yield Scene(telegram, Edits(redis), Spot(MINA, sent.message_id), *editors)


async def test_one_knows_that_the_other_changed_it_meanwhile(scene: Scene, telegram: StandIn) -> None:
    scene.one.show_once(scene.spot, Screen("one"))
    await scene.shows("one")
    scene.other.show_once(scene.spot, Screen("two"))
    await scene.shows("two")
    scene.one.show_once(scene.spot, Screen("one"))
    await scene.shows("one")
    scene.other.show_once(scene.spot, Screen("one"))  # and that it need not
    scene.other.show_once(scene.spot, Screen("three"))
    await scene.shows("three")
    assert telegram.world.breaches == []


async def test_what_was_asked_for_last_is_shown_last(scene: Scene) -> None:
    shown: list[str] = []

    async def noted(text: str) -> Screen:
        shown.append(text)
        return Screen(text)

    scene.one.show_once(scene.spot, Screen("first"))
    await scene.shows("first")  # the chat has no budget for a moment now
    scene.one.show(scene.spot, lambda: noted("second"))
    await scene.turn(2)
    scene.other.show(scene.spot, lambda: noted("third"))
    await scene.shows("third")
    scene.one.show(scene.spot, lambda: noted("fourth"))  # after whatever was still waiting there
    await scene.shows("fourth")
    assert shown == ["third", "fourth"]
