"""Where requests from chats come in and are taken back."""

from enum import Enum, auto

from aiogram.types import Message, User

from bot.delivery.copies import Copies, SentJustNow
from bot.delivery.follower import Follower
from bot.memory.watchers import Watcher, Watchers
from tasks.dispatch import Dispatch
from tasks.models import DownloadRequest


class Taken(Enum):
    """What became of a request."""

    STARTED = auto()
    """A job does it, and this chat waits for it."""
    ALREADY = auto()
    """This chat waits for it, or got it a moment ago, because it was asked for before."""
    SENT = auto()
    """Telegram had the files already: they are in the chat."""


class Desk:
    """Takes download requests: a job on the queue, a watcher for the chat, and the follower told of it."""

    def __init__(self, dispatch: Dispatch, watchers: Watchers, copies: Copies, follower: Follower) -> None:
        self._dispatch = dispatch
        self._watchers = watchers
        self._copies = copies
        self._follower = follower

    async def take(self, request: DownloadRequest, where: Message, asked_in: int, user: User) -> Taken:
        """Send what Telegram has, or start or join the job. Raises `RequestError`, and what `Copies.send` raises of Telegram.

        Everything goes to the chat and topic of the message `where`, as answers to the message with the id `asked_in`.
        """
        try:
            if await self._copies.send(request, where, asked_in, user.id):
                return Taken.SENT
        except SentJustNow:
            return Taken.ALREADY
        submitted = await self._dispatch.submit(request, f"telegram:{user.id}")
        watcher = Watcher(
            job_id=submitted.job_id,
            chat_id=where.chat.id,
            thread_id=where.message_thread_id if where.is_topic_message else None,
            asked_in=asked_in,
            user_id=user.id,
            user_name=user.full_name,
        )
        added = await self._watchers.add(watcher)
        self._follower.follow(watcher.key)
        return Taken.STARTED if added else Taken.ALREADY


class Canceller:
    """Takes a chat's interest in a job back; the job itself ends when nobody else waits for it."""

    def __init__(self, watchers: Watchers, dispatch: Dispatch, follower: Follower) -> None:
        self._watchers = watchers
        self._dispatch = dispatch
        self._follower = follower

    async def cancel(self, watcher: Watcher, by: str) -> None:
        """Cancel it for the watcher's chat; `by` is the name of who did."""
        await self._watchers.update(watcher, cancelled_by=by)
        waiting = [other for other in await self._watchers.at_job(watcher.job_id) if not other.cancelled_by]
        if not waiting:
            await self._dispatch.cancel(watcher.job_id, by)
        self._follower.wake(watcher.job_id)
