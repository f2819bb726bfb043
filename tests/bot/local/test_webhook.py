"""The stand-in's webhook, as strict as Telegram's."""

import asyncio
import json

import pytest

from bot.local.telegram import StandIn, webhook
from tests.bot.local.test_telegram import Api, api
from tests.person import Person, soon
from tests.web_server import Reply, WebServer

__all__ = ["api"]

HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def server(source_server: WebServer) -> WebServer:
    source_server.reset()
    return source_server


@pytest.mark.parametrize(
    ("url", "secret", "description"),
    [
        ("telegram", "", "bad webhook: URL is invalid"),
        ("https://host:port", "", "bad webhook: URL is invalid"),
        ("http://bot.example.org", "", "bad webhook: An HTTPS URL must be provided for webhook"),
        ("https://bot.example.org:8444", "", "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ("https://bot.example.org", "x" * 257, "secret token is too long"),
        ("https://bot.example.org", "x y", "secret token contains unallowed characters"),
    ],
)
async def test_addresses_and_secrets_that_telegram_does_not_take(
    api: Api, url: str, secret: str, description: str
) -> None:
    refused = await api.refused("setWebhook", url=url, secret_token=secret)
    assert refused == (400, f"Bad Request: {description}")
    assert (await api.call("getWebhookInfo"))["url"] == ""


async def test_updates_are_brought_in_order_until_each_is_taken(
    api: Api, server: WebServer, mina: Person, junho: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE", 0.01)
    no, yes = Reply(status=503), Reply()
    server.on("/hook", no, no, yes)
    await mina.sends("one")  # while nobody asks for it
    await api.call("setWebhook", url=f"{server.url}/hook", secret_token="s-3", allowed_updates=["message"])  # noqa: S106
    await mina.sends("two")
    await soon(lambda: len(server.posted) == 4, "all of it")
    await junho.sends("three")
    await soon(lambda: len(server.posted) == 5, "one more")
    texts = [json.loads(body)["message"]["text"] for _, body in server.posted]
    assert texts == ["one", "one", "one", "two", "three"]
    assert {headers[HEADER] for _, headers in server.requests} == {"s-3"}
    info = await api.call("getWebhookInfo")
    assert (info["url"], info["allowed_updates"]) == (f"{server.url}/hook", ["message"])
    assert info["last_error_message"] == "Wrong response from the webhook: 503 Service Unavailable"
    assert "secret" not in str(info)


async def test_who_has_a_webhook_does_not_ask(
    api: Api, telegram: StandIn, server: WebServer, mina: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "SET_SECONDS", 3600.0)
    asking = asyncio.create_task(api.refused("getUpdates", timeout=20))
    await telegram.methods.bot_came.wait()
    await api.call("setWebhook", url=f"{server.url}/hook")
    assert await asking == (409, "Conflict: terminated by setWebhook request")
    status, description = await api.refused("getUpdates")
    assert (status, description.partition(";")[0]) == (
        409,
        "Conflict: can't use getUpdates method while webhook is active",
    )
    await api.call("setWebhook", url=f"{server.url}/hook")  # nothing new
    assert (await api.refused("setWebhook", url=f"{server.url}/other"))[0] == 429
    await api.call("deleteWebhook")
    await mina.sends("one")
    assert [update["message"]["text"] for update in await api.call("getUpdates", timeout=10)] == ["one"]
    assert server.posted == []
