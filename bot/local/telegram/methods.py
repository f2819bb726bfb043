"""The Bot API's methods, by name."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiogram.types import CallbackQuery, Document, InlineQuery, LinkPreviewOptions, Message, User

from bot.local.telegram.errors import ApiError, bad_request
from bot.local.telegram.files import BY_PATH, Files, StoredFile
from bot.local.telegram.limits import RateRules
from bot.local.telegram.rules import DATA_BYTES, check_caption, check_keyboard, check_text
from bot.local.telegram.webhook import Webhook
from bot.local.telegram.world import BOT, GROUP, GROUP_CREATOR, SMALL_GROUP, TOPICS, World, dump

ANSWER_SECONDS = 15.0
"""How long a press waits for its answer."""
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)
LONGEST_POLL = 50
NO_GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)
MOST_RESULTS = 50


class Press:
    """A pressed button that waits for its answer."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.at = time.monotonic()
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class Params(dict[str, Any]):
    """Parameters of a call, as JSON or as the texts of a form."""

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.get(name, default)
        try:
            return int(value)  # type: ignore[arg-type]  # None and nonsense are refused alike
        except (TypeError, ValueError):
            raise bad_request(f"{name} is empty" if value is None else f"{name} is not a number", breach=True) from None

    def flag(self, name: str) -> bool:
        return str(self.get(name, "")).lower() in {"true", "1"}


class Methods:
    """What the bot can call. Each method takes the parameters and returns the result."""

    def __init__(self, world: World, files: Files) -> None:
        self._world = world
        self._files = files
        self.rates: RateRules | None = RateRules()
        self.presses: dict[str, Press] = {}
        self.inline: dict[str, asyncio.Future[list[dict[str, Any]]]] = {}
        """Inline queries, and what the bot offers for each."""
        self.left: set[tuple[int, int]] = set()
        """People who left a chat."""
        self.bot_came = asyncio.Event()
        """Set once a bot asks for updates."""
        self.webhook = Webhook(world)
        self._poll: asyncio.Event | None = None
        self._table: Mapping[str, Callable[[Params], Awaitable[Any]]] = {
            "getme": self._get_me,
            "getupdates": self._get_updates,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._webhook_info,
            "setmycommands": self._set_commands,
            "getmycommands": self._get_commands,
            "sendmessage": self._send_message,
            "senddocument": self._send_document,
            "sendchataction": self._chat_action,
            "editmessagetext": self._edit_text,
            "editmessagereplymarkup": self._edit_markup,
            "editephemeralmessagetext": self._edit_ephemeral,
            "deletemessage": self._delete,
            "answercallbackquery": self._answer_press,
            "answerinlinequery": self._answer_inline,
            "setmessagereaction": self._react,
            "getchat": self._get_chat,
            "getchatmember": self._get_member,
            "getchatadministrators": self._get_admins,
            "getfile": self._get_file,
        }

    async def call(self, name: str, params: Params) -> Any:
        """The result of a method, ready for JSON. Raises `ApiError`."""
        if self._world.upgraded and str(params.get("chat_id")) == str(SMALL_GROUP.id):
            raise bad_request("group chat was upgraded to a supergroup chat", migrate_to_chat_id=GROUP.id)
        chat_id = str(params.get("chat_id"))
        if name.lower().startswith(("send", "edit")) and chat_id in map(str, self._world.gone_from):
            private = not chat_id.startswith("-")
            raise ApiError(
                403, f"Forbidden: bot was {'blocked by the user' if private else 'kicked from the group chat'}"
            )
        method = self._table.get(name.lower())
        if method is None:
            raise ApiError(404, "Not Found: method not found")
        return await method(params)

    async def _get_me(self, _: Params) -> Any:
        me = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": True}
        return {**dump(BOT), **me}

    async def _set_webhook(self, params: Params) -> Any:
        url = str(params.get("url") or "")
        if not url:
            return await self._delete_webhook(params)
        allowed = params.get("allowed_updates")
        secret, connections = str(params.get("secret_token") or ""), params.integer("max_connections", 0)
        await self.webhook.set(url, secret, connections, None if allowed is None else list(allowed))
        if self._poll:
            self._poll.set()
        self.bot_came.set()
        return True

    async def _delete_webhook(self, params: Params) -> Any:
        await self.webhook.delete()
        if params.flag("drop_pending_updates"):
            self._world.updates.clear()
        return True

    async def _webhook_info(self, _: Params) -> Any:
        return self.webhook.info()

    async def _set_commands(self, params: Params) -> Any:
        commands = list(params.get("commands") or [])
        if len(commands) > 100 or any(not 1 <= len(one.get("description", "")) <= 256 for one in commands):
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID", breach=True)
        self._world.commands[self._menu(params)] = commands
        return True

    async def _get_commands(self, params: Params) -> Any:
        return self._world.commands.get(self._menu(params), [])

    def _menu(self, params: Params) -> str:
        scope = params.get("scope") or {"type": "default"}
        whose = f":{self._world.chat(int(scope['chat_id'])).id}" if "chat_id" in scope else ""
        language = str(params.get("language_code") or "")
        if language and (len(language) != 2 or not language.isalpha()):
            raise bad_request("invalid language code specified", breach=True)
        return f"{scope['type']}{whose} {language}"

    async def _get_updates(self, params: Params) -> Any:
        self._refuse_while_webhook(
            "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
        )
        if self._poll:
            self._poll.set()
        self._poll = ended = asyncio.Event()
        self.bot_came.set()
        offset = params.integer("offset", 0)
        while self._world.updates and self._world.updates[0][1].update_id < offset:
            self._world.updates.popleft()
        deadline = time.monotonic() + min(params.integer("timeout", 0), LONGEST_POLL)
        while not ended.is_set():
            self._world.drop_old_updates()
            waiting = [dump(update) for _, update in self._world.updates]
            left = deadline - time.monotonic()
            if waiting or left <= 0:
                return waiting[: max(1, min(100, params.integer("limit", 100)))]
            await self._world.wait_for_update(min(left, 1.0))
        self._refuse_while_webhook("terminated by setWebhook request")
        raise ApiError(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        )

    def _refuse_while_webhook(self, why: str) -> None:
        if self.webhook.url:
            raise ApiError(409, f"Conflict: {why}")

    async def _send_message(self, params: Params) -> Any:
        return await self._say(params, _text(str(params.get("text") or ""), params))

    async def _send_document(self, params: Params) -> Any:
        stored = params.get("document")
        if isinstance(stored, str) and stored.startswith(BY_PATH):
            stored = await asyncio.to_thread(self._files.read, stored)
        elif isinstance(stored, str):
            stored = self._files.get(stored)
            if stored is None:
                raise bad_request("wrong file identifier/HTTP URL specified", breach=True)
        if not isinstance(stored, StoredFile):
            raise bad_request("there is no document in the request", breach=True)
        if stored.size == 0:
            raise bad_request("file must be non-empty", breach=True)
        return await self._say(params, _document(stored, params))

    async def _say(self, params: Params, content: dict[str, Any]) -> Any:
        chat = self._world.chat(params.integer("chat_id"))
        keyboard = check_keyboard(params.get("reply_markup"))
        thread = _thread(params, chat.id)
        reply_to = self._replied(params, chat.id)
        receiver = self._receiver(params, chat.id)
        self._count(chat.id)
        message = self._world.new_message(
            chat.id,
            BOT,
            reply_markup=keyboard,
            message_thread_id=thread,
            is_topic_message=True if thread else None,
            reply_to_message=reply_to,
            **content,
        )
        if receiver:
            self._world.only_for[chat.id, message.message_id] = receiver
            message = message.model_copy(update={"ephemeral_message_id": message.message_id})
        return dump(self.as_bot_sees(await self._world.put(message)))

    @staticmethod
    def as_bot_sees(message: Message) -> Message:
        """Messages for one person alone have no number in the chat."""
        return message.model_copy(update={"message_id": 0}) if message.ephemeral_message_id else message

    def _receiver(self, params: Params, chat_id: int) -> int | None:
        """Whom alone the message is for: who pressed a button of the bot just now."""
        only = params.get("ephemeral_message_parameters")
        if not only:
            return None
        press = self.presses.get(str(only.get("callback_query_id")))
        fresh = press is not None and time.monotonic() - press.at < ANSWER_SECONDS
        if chat_id > 0 or press is None or not fresh or press.by != only.get("receiver_user_id"):
            raise bad_request("EPHEMERAL_MESSAGE_NOT_ALLOWED", breach=True)
        return press.by

    async def _edit_ephemeral(self, params: Params) -> Any:
        spot = (params.integer("chat_id"), params.integer("ephemeral_message_id"))
        if self._world.only_for.get(spot) != params.integer("receiver_user_id"):
            raise bad_request("message to edit not found", breach=True)
        await self._edit_text(Params({**params, "message_id": spot[1]}))
        return True

    def _replied(self, params: Params, chat_id: int) -> Message | None:
        reply = params.get("reply_parameters") or {}
        if not reply:
            return None
        message = self._world.message(chat_id, int(reply.get("message_id", 0)))
        if message is None and not reply.get("allow_sending_without_reply"):
            raise bad_request("message to be replied not found", breach=True)
        return message and message.model_copy(update={"reply_to_message": None, "reply_markup": None})

    def _count(self, chat_id: int) -> None:
        if self.rates:
            self.rates.say(chat_id)

    def _own(self, params: Params, what: str) -> Message:
        chat_id = self._world.chat(params.integer("chat_id")).id
        message = self._world.message(chat_id, params.integer("message_id"))
        if message is None:
            raise bad_request(f"message to {what} not found")
        if message.from_user is None or message.from_user.id != BOT.id:
            raise bad_request(f"message can't be {what}ed", breach=True)
        return message

    async def _edit_text(self, params: Params) -> Any:
        message = self._own(params, "edit")
        text, entities = check_text(str(params.get("text") or ""), params.get("parse_mode"))
        if message.text is None:
            raise bad_request("there is no text in the message to edit", breach=True)
        return await self._change(
            message,
            text=text,
            entities=entities or None,
            reply_markup=check_keyboard(params.get("reply_markup")),
            link_preview_options=_preview(params),
        )

    async def _edit_markup(self, params: Params) -> Any:
        return await self._change(self._own(params, "edit"), reply_markup=check_keyboard(params.get("reply_markup")))

    async def _change(self, message: Message, **content: Any) -> Any:
        self._count(message.chat.id)
        changed = message.model_copy(update=content)
        if dump(changed) == dump(message):
            raise bad_request(NOT_MODIFIED, breach=True)
        edited = changed.model_copy(update={"edit_date": int(time.time())})
        return dump(await self._world.put(edited))

    async def _delete(self, params: Params) -> Any:
        message = self._own(params, "delete")
        await self._world.remove(message.chat.id, message.message_id)
        return True

    async def _chat_action(self, params: Params) -> Any:
        self._world.chat(params.integer("chat_id"))
        return True

    async def _answer_press(self, params: Params) -> Any:
        press = self.presses.get(str(params.get("callback_query_id")))
        if press is None or press.answer.done() or time.monotonic() - press.at > ANSWER_SECONDS:
            raise bad_request(TOO_OLD, breach=press is not None and press.answer.done())
        text = str(params.get("text") or "")
        if len(text) > 200:
            raise bad_request("MESSAGE_TOO_LONG", breach=True)
        press.answer.set_result({"text": text, "alert": params.flag("show_alert")})
        return True

    async def _answer_inline(self, params: Params) -> Any:
        offered = self.inline.get(str(params.get("inline_query_id")))
        if offered is None or offered.done():
            raise bad_request(TOO_OLD)
        results = params.get("results") or []
        if len(results) > MOST_RESULTS:
            raise bad_request("too many inline query results specified", breach=True)
        ids = [str(result.get("id") or "") for result in results]
        if len(set(ids)) < len(ids) or not all(1 <= len(one.encode()) <= DATA_BYTES for one in ids):
            raise bad_request("RESULT_ID_INVALID", breach=True)
        for result in results:
            self._check_result(result)
        offered.set_result(results)
        return True

    def _check_result(self, result: dict[str, Any]) -> None:
        check_keyboard(result.get("reply_markup"))
        if result.get("type") == "article":
            content = result.get("input_message_content") or {}
            check_text(str(content.get("message_text") or ""), content.get("parse_mode"))
        elif self._files.get(str(result.get("document_file_id") or "")) is None:
            raise bad_request("wrong file identifier/HTTP URL specified", breach=True)
        else:
            check_caption(str(result.get("caption") or ""), result.get("parse_mode"))

    async def offer(self, query: InlineQuery) -> list[dict[str, Any]]:
        """A person typed behind the bot's name: what the bot offers, nothing if it does not answer in time."""
        offered = self.inline[query.id] = asyncio.get_running_loop().create_future()
        self._world.tell_bot(inline_query=query)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(offered)
        except TimeoutError:
            return []

    async def choose(self, person: User, chat_id: int, thread: int | None, result: dict[str, Any]) -> Message:
        """The person sends what was offered into a chat."""
        if result["type"] == "article":
            content = result["input_message_content"]
            shown = _text(content["message_text"], content)
        else:
            stored = self._files.get(result["document_file_id"])
            if stored is None:
                raise bad_request("wrong file identifier/HTTP URL specified")
            shown = _document(stored, result)
        message = self._world.new_message(
            chat_id,
            person,
            via_bot=BOT,
            reply_markup=check_keyboard(result.get("reply_markup")),
            message_thread_id=thread,
            is_topic_message=True if thread else None,
            **shown,
        )
        return await self._world.put(message)

    async def _react(self, params: Params) -> Any:
        chat_id, message_id = params.integer("chat_id"), params.integer("message_id")
        if self._world.message(chat_id, message_id) is None:
            raise bad_request("message to react not found")
        reaction = params.get("reaction") or []
        await self._world.react(chat_id, message_id, reaction[0]["emoji"] if reaction else "")
        return True

    async def _get_chat(self, params: Params) -> Any:
        return {
            **dump(self._world.chat(params.integer("chat_id"))),
            "accent_color_id": 0,
            "max_reaction_count": 11,
            "accepted_gift_types": NO_GIFTS,
        }

    async def _get_member(self, params: Params) -> Any:
        chat = self._world.chat(params.integer("chat_id"))
        person = self._world.person(params.integer("user_id"))
        if (chat.id, person.id) in self.left:
            return {"status": "left", "user": dump(person)}
        if person.id == GROUP_CREATOR:
            return {"status": "creator", "user": dump(person), "is_anonymous": False}
        return {"status": "member", "user": dump(person)}

    async def _get_admins(self, params: Params) -> Any:
        if params.integer("chat_id") != GROUP.id:
            raise bad_request("there are no administrators in the private chat")
        creator = dump(self._world.person(GROUP_CREATOR))
        return [{"status": "creator", "user": creator, "is_anonymous": False}]

    async def _get_file(self, params: Params) -> Any:
        stored = self._files.get(str(params.get("file_id") or ""))
        if stored is None:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        if stored.size > 20 << 20 and not self._files.local:
            raise bad_request("file is too big")
        where = str(self._files.path(stored.file_id)) if self._files.local else stored.file_id
        return {"file_id": stored.file_id, "file_unique_id": stored.file_id[-12:], "file_path": where}

    async def press(self, query: CallbackQuery) -> dict[str, Any]:
        """A person pressed a button: what the bot answers, or that it did not in time."""
        press = self.presses[query.id] = Press(query.from_user.id)
        self._world.tell_bot(callback_query=query)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(press.answer)
        except TimeoutError:
            return {"text": "", "alert": False, "unanswered": True}


def _text(raw: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a message with that text shows."""
    text, entities = check_text(raw, params.get("parse_mode"))
    return {"text": text, "entities": entities or None, "link_preview_options": _preview(params)}


def _document(stored: StoredFile, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a message with that file shows."""
    caption, entities = check_caption(str(params.get("caption") or ""), params.get("parse_mode"))
    document = Document(
        file_id=stored.file_id,
        file_unique_id=stored.file_id[-12:],
        file_name=stored.name,
        mime_type=stored.mime_type or None,
        file_size=stored.size,
    )
    return {"document": document, "caption": caption or None, "caption_entities": entities or None}


def _thread(params: Params, chat_id: int) -> int | None:
    thread = params.get("message_thread_id")
    if thread is None:
        return None
    if chat_id != GROUP.id or int(thread) not in TOPICS:
        raise bad_request("message thread not found", breach=True)
    return int(thread)


def _preview(params: Mapping[str, Any]) -> LinkPreviewOptions | None:
    value = params.get("link_preview_options")
    if not value or not value.get("url"):
        return None
    # What is not said is nothing here; aiogram's own defaults are for those who send.
    return LinkPreviewOptions.model_validate(dict.fromkeys(LinkPreviewOptions.model_fields) | value)
