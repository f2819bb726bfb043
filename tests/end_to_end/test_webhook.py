"""The webhook of one bot: what it takes, what it refuses, and what becomes of updates while something is away."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiogram.types import Update
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bot.callbacks import ShowResults
from bot.local.redis_server import is_live
from bot.local.telegram import StandIn
from bot.memory.processes import Processes
from bot.memory.updates import INBOX, MOST_TRIES, Updates
from bot.settings import BotSettings
from tasks.settings import SettingsError
from tests.conftest import process, running_bot
from tests.end_to_end.proxy import Proxy
from tests.person import MINA, Person, soon

SECRET = "a-secret-of-the-tests"  # noqa: S105
MINA_HERSELF = {"id": MINA, "is_bot": False, "first_name": "Mina"}
HEADER = "X-Telegram-Bot-Api-Secret-Token"


def hooked(settings: BotSettings, url: str) -> BotSettings:
    return settings.model_copy(update={"webhook_url": url, "webhook_secret": SecretStr(SECRET)})


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    async with proxy.open():
        yield proxy


@pytest.fixture
async def webhook(bot_settings: BotSettings, proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has found the address of the webhook, and knows the secret."""
    url = f"{proxy.url}/telegram"
    async with running_bot(hooked(bot_settings, url)) as address:
        proxy.backends = [address]
        async with httpx.AsyncClient(base_url=address, headers={HEADER: SECRET}, timeout=40.0) as client:
            yield client


def update(number: int, text: str = "/help") -> dict[str, Any]:
    message = {"message_id": 1, "date": int(time.time()), "chat": {"id": MINA, "type": "private"}, "from": MINA_HERSELF}
    return {"update_id": number, "message": {**message, "text": text}}


async def helps(person: Person) -> int:
    return len([m for m in await person.messages() if "I download manga" in m.get("text", "")])


@pytest.mark.parametrize("secret", ["", "wrong", SECRET[:-1], "é"])
async def test_without_the_secret_nothing_is_taken(webhook: httpx.AsyncClient, mina: Person, secret: str) -> None:
    answer = await webhook.post("/telegram", json=update(1), headers={HEADER.encode(): secret.encode()})
    assert (answer.status_code, answer.json()["error"]) == (401, "wrong_secret")
    await mina.sends("/help")
    await mina.sees("I download manga")
    assert await helps(mina) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"update_id": "1"}',
        b'{"update_id": true}',
        b'{"update_id": -1}',
        b'{"update_id": 99999999999999999999}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_update_is_refused(webhook: httpx.AsyncClient, body: bytes) -> None:
    answer = await webhook.post("/telegram", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_what_is_not_packed_as_it_says_is_refused(webhook: httpx.AsyncClient) -> None:
    answer = await webhook.post("/telegram", content=b"{nothing packed", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_what_is_too_large_or_too_slow_is_refused(
    webhook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await webhook.post("/telegram", content=b"x" * (1 << 20) + b"x")
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    monkeypatch.setattr("bot.web.webhook.BODY_SECONDS", 0.1)
    url = webhook.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST /telegram HTTP/1.1\r\nHost: x\r\n{HEADER}: {SECRET}\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert b" 400 " in await reader.readline()
    writer.close()
    assert (await webhook.get("/telegram")).status_code == 405


async def test_what_nobody_here_understands_is_taken_and_left(webhook: httpx.AsyncClient, mina: Person) -> None:
    await mina.sends("/jobs")
    for strange in ({"update_id": 1}, {"update_id": 2, "new_thing": {"a": 1}}, {"update_id": 3, "message": {"x": 1}}):
        assert (await webhook.post("/telegram", json=strange)).status_code == 200
    assert (await webhook.post("/telegram", json=update(4))).status_code == 200
    await mina.sees("I download manga")


async def test_an_update_that_comes_often_is_handled_once(webhook: httpx.AsyncClient, mina: Person) -> None:
    await mina.sends("/sources")
    for _ in range(2):
        answers = await asyncio.gather(*(webhook.post("/telegram", json=update(7)) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        await mina.sees("I download manga")
    await webhook.post("/telegram", json=update(8, "/jobs"))
    await mina.sees("You have no downloads running")
    assert await helps(mina) == 1


@pytest.mark.usefixtures("webhook")
async def test_a_press_that_is_refused_is_handled(mina: Person, bot_settings: BotSettings) -> None:
    sent = await mina.sends("/help")
    help_text = await mina.sees("I download manga", after=sent)
    answer = await mina.presses_data(help_text, ShowResults(menu="gone", page=0).pack())
    assert "expired" in answer["text"]
    with Redis(unix_socket_path=str(bot_settings.redis_socket)) as redis:
        await soon(lambda: not redis.exists(INBOX), "nothing is left to be handled again")


async def test_what_bots_died_over_is_told(
    bot_settings: BotSettings, mina: Person, redis: AsyncRedis, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_bot(bot_settings):
        sent = await mina.sends("/help")
        helped = await mina.sees("I download manga", after=sent)
    press = {"id": "1", "from": MINA_HERSELF, "chat_instance": "1", "message": helped, "data": "cj:x"}
    left = [Update.model_validate(one) for one in (update(7, "/jobs"), {"update_id": 8, "callback_query": press})]
    processes, updates = Processes(redis), Updates(redis)
    await processes.enter("dead")
    await updates.receive("dead", left)
    for _ in range(MOST_TRIES):
        assert await updates.begin_anew("dead", ()) == left
    await processes.leave("dead")
    async with running_bot(bot_settings):
        await soon(lambda: _is_empty(redis), "they are not begun any more")
        told = [m["text"] for m in await mina.messages() if m["message_id"] > helped["message_id"]]
    assert [text[:20] for text in told] == ["Something went wrong"] * 2
    numbers = {re.search("[0-9a-f]{6}$", text)[0] for text in told}  # type: ignore[index]
    assert numbers == set(re.findall(r"the update failed \((\w+)\)", caplog.text))


async def _is_empty(redis: AsyncRedis) -> bool:
    return not await redis.exists(INBOX)


async def test_the_webhook_outlives_the_bot_until_one_asks_by_itself(
    bot_settings: BotSettings, proxy: Proxy, telegram: StandIn, mina: Person
) -> None:
    url = f"{proxy.url}/telegram"
    async with running_bot(hooked(bot_settings, url)):
        allowed = ["callback_query", "channel_post", "inline_query", "message", "my_chat_member"]
        assert sorted(telegram.methods.webhook.info()["allowed_updates"]) == allowed
    assert telegram.methods.webhook.url == url
    sent = await mina.sends("/help")
    await soon(lambda: "last_error_message" in telegram.methods.webhook.info(), "a try in vain")
    async with running_bot(bot_settings):
        await mina.sees("I download manga", after=sent)
    assert telegram.methods.webhook.url == ""


@pytest.mark.parametrize("url", ["http://bot.example.org/telegram", "https://bot.example.org:8444/telegram"])
async def test_an_address_that_telegram_does_not_take_stops_the_start(bot_settings: BotSettings, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^WEBHOOK_URL is 'http.*': Telegram says: Bad Request: bad webhook: .*$"):
        async with running_bot(hooked(bot_settings, url)):
            pass


async def test_while_redis_is_away_telegram_is_to_come_again(
    telegram: StandIn,
    proxy: Proxy,
    mina: Person,
    tmp_path: Path,
    clean_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.web.webhook.WRITE_SECONDS", 0.2)
    settings = BotSettings(
        _env_file=None,
        data_dir=tmp_path,
        telegram_bot_token=SecretStr(telegram.token),
        telegram_api_url=telegram.url,
        api_port=0,
        webhook_url=f"{proxy.url}/telegram",
        webhook_secret=SecretStr(SECRET),
    )
    environment = {**clean_environment, "DATA_DIR": str(tmp_path)}
    redis = partial(
        process, ["bot.local.redis_server"], environment, tmp_path / "redis.log", lambda _: is_live(settings)
    )
    with redis() as server:
        bot = running_bot(settings)
        proxy.backends = [await bot.__aenter__()]
        server.kill()
        await asyncio.to_thread(server.wait)
        async with httpx.AsyncClient(headers={HEADER: SECRET}) as client:
            answer = await client.post(f"{proxy.url}/telegram", json=update(7))
            assert (answer.status_code, json.loads(answer.content)["error"]) == (503, "not_now")
        await mina.sends("/help")
        await soon(lambda: "503" in telegram.methods.webhook.info().get("last_error_message", ""), "a try in vain")
    with redis():
        await mina.sees("I download manga")
        await bot.__aexit__(None, None, None)
    assert await helps(mina) == 1
