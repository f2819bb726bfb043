"""The stand-in refuses what Telegram refuses, in its words."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bot.local.telegram import StandIn, serve
from bot.local.telegram.errors import ApiError
from bot.local.telegram.limits import RateRules
from bot.local.telegram.markup import parse_html
from tests.person import GROUP, JUNHO, MINA, Person

Answer = dict[str, Any]
NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a "
    "current content and reply markup of the message"
)


class Api:
    """The Bot API as a bot calls it, over HTTP."""

    def __init__(self, telegram: StandIn) -> None:
        self.http = httpx.AsyncClient(base_url=f"{telegram.url}/bot{telegram.token}/", timeout=20.0)

    async def call(self, method: str, **parameters: Any) -> Any:
        answer = (await self.http.post(method, json=parameters)).json()
        assert answer["ok"], answer
        return answer["result"]

    async def refused(self, method: str, **parameters: Any) -> tuple[int, str]:
        answer = await self.http.post(method, json=parameters)
        body = answer.json()
        assert body["ok"] is False
        assert body["error_code"] == answer.status_code
        return answer.status_code, body["description"]

    async def uploads(self, content: bytes, **parameters: Any) -> Answer:
        parameters = {"chat_id": MINA, "document": "attach://part", **parameters}
        answer = await self.http.post("sendDocument", data=parameters, files={"part": ("a.zip", content)})
        return dict(answer.json())


@pytest.fixture
async def api(telegram: StandIn) -> AsyncIterator[Api]:
    telegram.methods.rates = None
    api = Api(telegram)
    async with api.http:
        yield api


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("", "Bad Request: message text is empty"),
        (" \n ", "Bad Request: message text is empty"),
        ("<b></b>", "Bad Request: message text is empty"),
        ("x" * 4097, "Bad Request: message is too long"),
        ("猫" * 11000, "Bad Request: text is too long"),
        ("<u2>x", 'Bad Request: can\'t parse entities: Unsupported start tag "u2" at byte offset 0'),
        ("é<div>x</div>", 'Bad Request: can\'t parse entities: Unsupported start tag "div" at byte offset 2'),
        ("<b>x", "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""),
    ],
)
async def test_texts_that_telegram_does_not_take(api: Api, telegram: StandIn, text: str, description: str) -> None:
    assert await api.refused("sendMessage", chat_id=MINA, text=text, parse_mode="HTML") == (400, description)
    assert telegram.world.breaches


async def test_lengths_count_what_is_shown(api: Api) -> None:
    sent = await api.call("sendMessage", chat_id=MINA, text="<b>" + "🐈&amp;" * 2048 + "</b>", parse_mode="HTML")
    assert len(sent["text"]) == 4096
    # Entities count UTF-16 units, of which a cat has two.
    assert [(e["type"], e["offset"], e["length"]) for e in sent["entities"]] == [("bold", 0, 3 * 2048)]


def test_html_becomes_text_and_entities() -> None:
    text, entities = parse_html(
        '🐈 <b>bold <i>both</i></b> &lt;3 <a href="https://x.org/?a=1&amp;b">link</a> & <code>c</code>'
    )
    assert text == "🐈 bold both <3 link & c"
    assert [(e.type, e.offset, e.length, e.url) for e in entities] == [
        ("bold", 3, 9, None),
        ("italic", 8, 4, None),
        ("text_link", 16, 4, "https://x.org/?a=1&b"),
        ("code", 23, 1, None),
    ]


def keyboard(*rows: int, data: str = "x", text: str = "t") -> Answer:
    return {"inline_keyboard": [[{"text": text, "callback_data": data}] * buttons for buttons in rows]}


@pytest.mark.parametrize(
    ("markup", "description"),
    [
        (keyboard(1, data="é" * 33), "BUTTON_DATA_INVALID"),
        (keyboard(1, data=""), "BUTTON_DATA_INVALID"),
        (keyboard(9), "reply markup is too long"),
        (keyboard(*[8] * 13), "reply markup is too long"),
        (keyboard(1, text=""), "text buttons are unallowed in the inline keyboard"),
        ({"inline_keyboard": [[{"text": "t", "callback_data": "x", "style": "link"}]]}, "BUTTON_STYLE_INVALID"),
        ({"inline_keyboard": "none"}, "can't parse reply keyboard markup JSON object"),
    ],
)
async def test_keyboards_that_telegram_does_not_take(api: Api, markup: Answer, description: str) -> None:
    refused = await api.refused("sendMessage", chat_id=MINA, text="x", reply_markup=markup)
    assert refused == (400, f"Bad Request: {description}")


async def test_data_of_64_bytes_and_rows_of_8_are_taken(api: Api) -> None:
    await api.call("sendMessage", chat_id=MINA, text="x", reply_markup=keyboard(8, 8, data="é" * 32))


async def test_edits(api: Api) -> None:
    sent = await api.call("sendMessage", chat_id=MINA, text="one", reply_markup=keyboard(1))
    spot = {"chat_id": MINA, "message_id": sent["message_id"]}
    same = {"text": "one", "reply_markup": keyboard(1)}
    assert await api.refused("editMessageText", **spot, **same) == (400, NOT_MODIFIED)
    edited = await api.call("editMessageText", **spot, text="one")
    assert "reply_markup" not in edited
    assert edited["edit_date"]
    assert await api.refused("editMessageReplyMarkup", **spot) == (400, NOT_MODIFIED)
    missing = {"chat_id": MINA, "message_id": 1, "text": "x"}
    assert await api.refused("editMessageText", **missing) == (400, "Bad Request: message to edit not found")
    await api.call("deleteMessage", **spot)
    assert await api.refused("deleteMessage", **spot) == (400, "Bad Request: message to delete not found")


async def test_what_a_person_wrote_is_not_ours_to_edit(api: Api, mina: Person) -> None:
    said = await mina.sends("hello")
    refused = await api.refused("editMessageText", chat_id=MINA, message_id=said, text="x")
    assert refused == (400, "Bad Request: message can't be edited")


async def test_a_file_has_no_text_to_edit(api: Api) -> None:
    sent = (await api.uploads(b"PK"))["result"]
    refused = await api.refused("editMessageText", chat_id=MINA, message_id=sent["message_id"], text="x")
    assert refused == (400, "Bad Request: there is no text in the message to edit")


async def test_uploads(api: Api, telegram: StandIn) -> None:
    sent = (await api.uploads(b"PK" * 500, caption="<b>c</b>", parse_mode="HTML"))["result"]
    assert (sent["document"]["file_size"], sent["caption"]) == (1000, "c")
    assert (await api.uploads(b""))["description"] == "Bad Request: file must be non-empty"
    assert (await api.uploads(b"x", caption="c" * 1025))["description"] == "Bad Request: message caption is too long"
    telegram.files.upload_limit = 999
    assert (await api.uploads(b"PK" * 500))["description"] == "Request Entity Too Large"
    again = await api.call("sendDocument", chat_id=GROUP, document=sent["document"]["file_id"])
    assert again["document"]["file_id"] == sent["document"]["file_id"]
    unknown = await api.refused("sendDocument", chat_id=MINA, document="BQ../../etc/passwd")
    assert unknown == (400, "Bad Request: wrong file identifier/HTTP URL specified")
    assert await api.refused("sendDocument", chat_id=MINA) == (
        400,
        "Bad Request: there is no document in the request",
    )


def outside(folder: Path) -> Path:
    path = folder / "out.zip"
    path.write_bytes(b"PK")
    return path


class TestLocal:
    """A self-hosted server with `--local`, that sees one folder."""

    @pytest.fixture
    async def telegram(self, tmp_path: Path) -> AsyncIterator[StandIn]:
        (tmp_path / "seen").mkdir()
        async with serve(local=tmp_path / "seen") as stand_in:
            yield stand_in

    async def sends(self, api: Api, address: str) -> Answer:
        answer = await api.http.post("sendDocument", data={"chat_id": str(MINA), "document": address})
        return dict(answer.json())

    async def test_it_reads_files_by_their_addresses(self, api: Api, telegram: StandIn, tmp_path: Path) -> None:
        path = tmp_path / "seen" / "50% é #1;.zip"
        path.write_bytes(b"PK" * 500)
        for address in (path.as_uri(), path.as_uri().replace("file:///", "file://localhost/")):
            document = (await self.sends(api, address))["result"]["document"]
            assert (document["file_name"], document["file_size"]) == (path.name, 1000)
            assert telegram.files.path(document["file_id"]).read_bytes() == b"PK" * 500
        there = await api.call("getFile", file_id=document["file_id"])
        assert there["file_path"] == str(telegram.files.path(document["file_id"]))

    async def test_it_refuses_what_it_can_not_read(self, api: Api, telegram: StandIn, tmp_path: Path) -> None:
        folder = tmp_path / "seen"
        (folder / "empty").touch()
        (folder / "large").write_bytes(b"PK" * 500)
        (folder / "link").symlink_to(outside(tmp_path))
        telegram.files.upload_limit = 999
        for name, reason in {
            "gone": "can't find real file path",
            "link": "can't find real file path",
            "a\0b": "can't find real file path",
            ".": "file must be a regular file",
            "empty": "file must be non-empty",
            "large": f'File "{folder}/large" of size 1000 bytes is too big',
        }.items():
            refused = await self.sends(api, f"file://{folder}/{quote(name)}")
            assert refused["description"] == f"Bad Request: {reason}"
        assert telegram.files.uploads == 0

    async def test_it_takes_more_than_the_cloud(self, telegram: StandIn) -> None:
        async with serve() as cloud:
            assert (telegram.files.upload_limit, cloud.files.upload_limit) == (2_000_000_000, 50_000_000)


async def test_the_cloud_reads_no_files(api: Api, tmp_path: Path) -> None:
    refused = await api.refused("sendDocument", chat_id=MINA, document=outside(tmp_path).as_uri())
    assert refused == (400, "Bad Request: wrong remote file identifier specified: Wrong character in the string")


async def test_the_name_of_a_file_ends_at_a_semicolon(api: Api) -> None:
    files = {"part": ("Steins;Gate.zip", b"PK")}
    answer = await api.http.post("sendDocument", data={"chat_id": MINA, "document": "attach://part"}, files=files)
    assert answer.json()["result"]["document"]["file_name"] == '"Steins'


async def test_replies_chats_and_topics_must_be_there(api: Api) -> None:
    reply = {"message_id": 1}
    refused = await api.refused("sendMessage", chat_id=MINA, text="x", reply_parameters=reply)
    assert refused == (400, "Bad Request: message to be replied not found")
    await api.call(
        "sendMessage", chat_id=MINA, text="x", reply_parameters={**reply, "allow_sending_without_reply": True}
    )
    assert await api.refused("sendMessage", chat_id=7, text="x") == (400, "Bad Request: chat not found")
    assert await api.refused("sendMessage", text="x") == (400, "Bad Request: chat_id is empty")
    for thread in (1, 3):
        refused = await api.refused("sendMessage", chat_id=GROUP, text="x", message_thread_id=thread)
        assert refused == (400, "Bad Request: message thread not found")
    sent = await api.call("sendMessage", chat_id=GROUP, text="x", message_thread_id=2)
    assert sent["is_topic_message"]


async def test_a_press_is_answered_once_and_in_time(api: Api, mina: Person) -> None:
    sent = await api.call("sendMessage", chat_id=MINA, text="x", reply_markup=keyboard(1))
    pressing = asyncio.create_task(mina.presses_data(sent, "x"))
    update = (await api.call("getUpdates", timeout=10))[0]
    query = update["callback_query"]["id"]
    too_long = await api.refused("answerCallbackQuery", callback_query_id=query, text="x" * 201)
    assert too_long == (400, "Bad Request: MESSAGE_TOO_LONG")
    await api.call("answerCallbackQuery", callback_query_id=query, text="yes", show_alert=True)
    assert await pressing == {"text": "yes", "alert": True}
    too_old = (400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    assert await api.refused("answerCallbackQuery", callback_query_id=query) == too_old
    assert await api.refused("answerCallbackQuery", callback_query_id="made-up") == too_old


async def test_in_a_group_a_bot_hears_commands_and_replies_only(api: Api, junho_in_group: Person) -> None:
    said = await api.call("sendMessage", chat_id=GROUP, text="x", message_thread_id=2)
    for unheard in ("hello", "1-5", "/help@another_bot"):
        await junho_in_group.sends(unheard)
    await junho_in_group.sends("/help@Manhwa_Local_Bot")
    await junho_in_group.sends("1-5", reply_to=said)
    heard = [update["message"] for update in await api.call("getUpdates")]
    assert [message["text"] for message in heard] == ["/help@Manhwa_Local_Bot", "1-5"]
    assert heard[0]["message_thread_id"] == 2
    assert heard[0]["entities"] == [{"type": "bot_command", "offset": 0, "length": 22}]
    assert heard[1]["reply_to_message"]["message_id"] == said["message_id"]


async def test_updates_come_until_they_are_confirmed(api: Api, mina: Person) -> None:
    for text in ("a", "b", "c"):
        await mina.sends(text)
    first = await api.call("getUpdates", limit=2)
    assert [update["message"]["text"] for update in first] == ["a", "b"]
    assert await api.call("getUpdates", limit=2) == first
    rest = await api.call("getUpdates", offset=first[-1]["update_id"] + 1)
    assert [update["message"]["text"] for update in rest] == ["c"]
    assert await api.call("getUpdates", offset=rest[-1]["update_id"] + 1) == []


async def test_a_second_bot_ends_the_polling_of_the_first(api: Api, telegram: StandIn) -> None:
    heard = telegram.methods.call
    waiting = asyncio.Event()

    async def noticed(name: str, params: Any) -> Any:
        waiting.set()
        return await heard(name, params)

    telegram.methods.call = noticed  # type: ignore[method-assign]
    first = asyncio.create_task(api.refused("getUpdates", timeout=20))
    await waiting.wait()
    assert await api.call("getUpdates", timeout=0) == []
    status, description = await first
    assert status == 409
    assert description.startswith("Conflict: terminated by other getUpdates request")


async def test_tokens_and_methods_must_be_known(api: Api, telegram: StandIn) -> None:
    answer = await api.http.post(f"{telegram.url}/bot1:wrong/getMe")
    assert (answer.status_code, answer.json()["description"]) == (401, "Unauthorized")
    assert await api.refused("inventMe") == (404, "Not Found: method not found")


async def test_methods_are_known_in_any_case_and_take_forms(api: Api) -> None:
    answer = await api.http.post("SENDMESSAGE", data={"chat_id": str(MINA), "text": '{"not": "json"}'})
    assert answer.json()["result"]["text"] == '{"not": "json"}'


async def test_who_talks_too_much_is_told_how_long_to_be_silent(api: Api, telegram: StandIn) -> None:
    telegram.methods.rates = RateRules()
    answers = [await api.http.post("sendMessage", json={"chat_id": MINA, "text": "x"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    body = answers[-1].json()
    seconds = body["parameters"]["retry_after"]
    assert body["description"] == f"Too Many Requests: retry after {seconds}"
    assert answers[-1].headers["Retry-After"] == str(seconds)
    assert telegram.world.breaches


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("chat", "at_once", "window"), [(MINA, 3, 3.0), (GROUP, 20, 60.0)])
def test_sends_and_edits_of_a_chat_are_counted_together(chat: int, at_once: int, window: float) -> None:
    clock = Clock()
    rules = RateRules(clock)
    for _ in range(at_once):
        rules.say(chat)
    with pytest.raises(ApiError, match="Too Many Requests"):
        rules.say(chat)
    rules.say(JUNHO)  # another chat has its own
    clock.now = window - 0.1
    with pytest.raises(ApiError):
        rules.say(chat)
    clock.now = window + 0.1
    rules.say(chat)


def test_all_chats_together_have_a_limit_too() -> None:
    rules = RateRules(lambda: 0.0)
    for chat in range(1, 31):
        rules.say(chat)
    with pytest.raises(ApiError, match="retry after"):
        rules.say(31)


async def test_a_second_start_shows_the_same_chats(tmp_path: Path) -> None:
    async with serve(tmp_path) as first:
        api = Api(first)
        async with api.http, Person(first.url) as mina:
            said = await mina.sends("hello")
            uploaded = (await api.uploads(b"PK"))["result"]
            seen = (await api.call("getUpdates"))[0]["update_id"]
    async with serve(tmp_path) as second:
        api = Api(second)
        async with api.http, Person(second.url) as mina:
            messages = await mina.messages()
            assert [message["message_id"] for message in messages] == [said, uploaded["message_id"]]
            assert (await mina.saves(messages[1], tmp_path / "got.zip")).read_bytes() == b"PK"
            assert await mina.sends("again") > uploaded["message_id"]
            assert (await api.call("getUpdates"))[-1]["update_id"] > seen


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/send", {"person": 7, "text": "x"}),
        ("/chat/send", {"person": MINA, "chat": 8, "text": "x"}),
        ("/chat/send", {"text": "x"}),
        ("/chat/press", {"person": MINA}),
    ],
)
async def test_the_pages_own_calls_are_checked(telegram: StandIn, path: str, body: Answer) -> None:
    async with httpx.AsyncClient(base_url=telegram.url) as http:
        assert (await http.post(path, json=body)).status_code == 400
