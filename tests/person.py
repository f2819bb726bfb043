"""A person in a chat: sends, presses, sees. Works over the chat page's HTTP API, so against a stand-in in any process."""

import asyncio
import re
import time
from inspect import isawaitable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

GROUP, SMALL_GROUP = -1000000000001, -4000001
MINA, JUNHO, SOFIA = 101, 102, 103
PATIENCE = 40.0

Message = dict[str, Any]


class NotSeen(AssertionError):
    """What was waited for did not come; the text has the whole chat."""


class Person:
    """One of the stand-in's people in one chat: the private one with the bot, or the group (and a topic of it)."""

    def __init__(
        self, url: str, who: int = MINA, *, chat: int | None = None, thread: int | None = None, language: str = "en"
    ) -> None:
        self.who = who
        self.chat = chat
        self.thread = thread
        self.language = language
        """Of their app: most tests read English."""
        self._http = httpx.AsyncClient(base_url=url, timeout=40.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def sends(
        self, text: str, *, reply_to: Message | None = None, twice: bool = False, anonymous: bool = False
    ) -> int:
        """Send a text, `anonymous` in the name of the group; the message's id."""
        saying = {
            "person": self.who,
            "chat": self.chat,
            "thread": self.thread,
            "text": text,
            "twice": twice,
            "anonymous": anonymous,
            "language": self.language,
        }
        answer = await self._post("/chat/send", {**saying, "reply_to": reply_to and reply_to["message_id"]})
        return int(answer["message_id"])

    async def attaches(self, name: str, body: bytes, caption: str = "") -> int:
        """Send a file; the message's id."""
        saying = {"person": self.who, "chat": self.chat, "thread": self.thread, "language": self.language}
        query = {key: value for key, value in saying.items() if value is not None}
        answer = await self._http.post("/chat/attach", params={**query, "text": caption, "name": name}, content=body)
        answer.raise_for_status()
        return int(answer.json()["message_id"])

    async def turns_bot_out(self, *, gone: bool = True) -> None:
        """Block the bot, or remove it from the group; or take that back."""
        await self._post("/chat/leave", {"person": self.who, "chat": self.chat, "gone": gone})

    async def upgrades_group(self, *told: str) -> None:
        """Make a supergroup of the small group, of which the bot is told as it is `left`, as `moved`, or both."""
        await self._post("/chat/upgrade", {"person": self.who, "told": told})

    async def presses(self, label: str, *, on: Message | None = None) -> Message:
        """Press the newest button whose text matches; the bot's answer: `text`, `alert`, maybe `unanswered`."""
        message, button = await self._button(label, on)
        return await self.presses_data(message, button["callback_data"])

    async def presses_data(self, message: Message, data: str) -> Message:
        """Press a button with that data under that message, whether it is there or not."""
        spot = {"chat": self.chat, "message_id": message["message_id"]}
        pressing = {"person": self.who, **spot, "data": data, "language": self.language}
        return await self._post("/chat/press", pressing)

    async def types(self, text: str) -> Message:
        """Type behind the bot's name, in any chat: `query` and the `results` the bot offers."""
        return await self._post("/chat/inline", {"person": self.who, "text": text, "language": self.language})

    async def chooses(self, offered: Message, result: str) -> int:
        """Send the offered result with that id into this chat; the message's id."""
        choosing = {"person": self.who, "chat": self.chat, "thread": self.thread}
        answer = await self._post("/chat/choose", {**choosing, "query": offered["query"], "result": result})
        return int(answer["message_id"])

    async def sees(self, pattern: str, *, after: int = 0) -> Message:
        """Wait for a message of the bot, newer than the id `after`, whose text or caption matches."""
        return await self._wait_for(lambda m: m["message_id"] > after and _says(m, pattern), pattern)

    async def sees_button(self, label: str) -> Message:
        """Wait for a message with such a button."""
        return await self._wait_for(lambda m: any(re.search(label, b["text"]) for b in buttons(m)), f"[{label}]")

    async def receives_document(self, pattern: str = "", *, after: int = 0) -> Message:
        """Wait for a file whose name matches."""

        def arrived(message: Message) -> bool:
            name = message.get("document", {}).get("file_name")
            return name is not None and message["message_id"] > after and bool(re.search(pattern, name))

        return await self._wait_for(arrived, f"a file {pattern!r}")

    async def saves(self, message: Message, path: Path) -> Path:
        """Download a received file to that path."""
        answer = await self._http.get(f"/chat/file/{message['document']['file_id']}")
        answer.raise_for_status()
        await asyncio.to_thread(path.write_bytes, answer.content)
        return path

    async def messages(self) -> list[Message]:
        """Everything in this chat (and topic) now, oldest first."""
        return self._here((await self._state(0, 0))["messages"])

    async def breaches(self) -> list[str]:
        """Rules of Telegram that the bot broke so far."""
        answer = await self._http.get("/chat/breaches")
        return list(answer.json()["breaches"])

    async def orders_fault(self, **fault: Any) -> None:
        """Make Telegram fail; see `bot.local.telegram.faults.Fault`."""
        await self._post("/chat/faults", fault)

    async def sets_rules(self, **rules: Any) -> None:
        """Make Telegram stricter or less so; see `bot.local.telegram.chat_api.Rules`."""
        await self._post("/chat/rules", rules)

    async def _button(self, label: str, on: Message | None) -> tuple[Message, dict[str, Any]]:
        def has(message: Message) -> bool:
            wanted = on is None or message["message_id"] == on["message_id"]
            return wanted and any(re.search(label, b["text"]) for b in buttons(message))

        message = await self._wait_for(has, f"[{label}]")
        return message, next(b for b in buttons(message) if re.search(label, b["text"]))

    async def _wait_for(self, fits: Any, what: str) -> Message:
        deadline = time.monotonic() + PATIENCE
        after, patience = 0, 0.0
        while True:
            state = await self._state(after, patience)
            found = [m for m in self._here(state["messages"]) if m.get("from", {}).get("is_bot") and fits(m)]
            if found:
                return found[-1]
            if time.monotonic() > deadline:
                raise NotSeen(f"{what} was not seen in:\n{await self._transcript()}")
            after, patience = state["sequence"], max(0.0, min(20.0, deadline - time.monotonic()))

    def _here(self, messages: list[Message]) -> list[Message]:
        here = self.who if self.chat is None else self.chat
        mine = [m for m in messages if m["chat"]["id"] == here and m.get("only_for") in {None, self.who}]
        if self.chat is not None:
            mine = [m for m in mine if m.get("message_thread_id") == self.thread]
        return sorted(mine, key=lambda m: int(m["message_id"]))

    async def _state(self, after: int, wait: float) -> dict[str, Any]:
        answer = await self._http.get("/chat/state", params={"after": after, "wait": wait})
        return dict(answer.json())

    async def _post(self, path: str, body: dict[str, Any]) -> Message:
        answer = await self._http.post(path, json=body)
        answer.raise_for_status()
        return dict(answer.json())

    async def _transcript(self) -> str:
        lines = []
        for message in await self.messages():
            name = message.get("document", {}).get("file_name", "")
            text = message.get("text") or message.get("caption") or ""
            keys = " ".join(f"[{b['text']}]" for b in buttons(message))
            lines.append(f"{message['message_id']} {message.get('from', {}).get('first_name')}: {name} {text} {keys}")
        return "\n".join(lines)


def buttons(message: Message) -> list[dict[str, Any]]:
    """All buttons under a message."""
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [button for row in rows for button in row]


def _says(message: Message, pattern: str) -> bool:
    return bool(re.search(pattern, message.get("text") or message.get("caption") or ""))


async def soon(check: Any, what: str) -> None:
    """Wait until `check()`, which may have to be awaited, is true; for what happens outside the chat and tells nobody, such
    as a folder that goes."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = check()
        if await found if isawaitable(found) else found:
            return
        if time.monotonic() > deadline:
            raise NotSeen(what)
        await asyncio.sleep(0.05)
