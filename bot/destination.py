"""Where something is to be sent. Pure."""

from typing import Self

from aiogram.types import Message, ReplyParameters

from tasks.models import Value


class Destination(Value):
    """A chat, a topic of it, and the message there that what is sent answers to."""

    chat_id: int
    thread_id: int | None = None
    asked_in: int | None = None

    @classmethod
    def of(cls, message: Message, asked_in: int | None) -> Self:
        """The chat and topic of the message, as an answer to the one with the id `asked_in`."""
        # Outside of forums Telegram calls replies threads as well.
        thread_id = message.message_thread_id if message.is_topic_message else None
        return cls(chat_id=message.chat.id, thread_id=thread_id, asked_in=asked_in)

    @property
    def reply(self) -> ReplyParameters | None:
        """Makes a message an answer; one to a message that was deleted meanwhile goes as well."""
        if self.asked_in is None:
            return None
        return ReplyParameters(message_id=self.asked_in, allow_sending_without_reply=True)
