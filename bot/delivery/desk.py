"""Where requests from chats come in and are taken back."""

from enum import Enum, auto

from bot.callers import Caller
from bot.delivery.copies import Copies, SentJustNow
from bot.destination import Destination
from bot.language import spoken
from bot.memory.watchers import Watcher, Watchers
from tasks.dispatch import Dispatch
from tasks.models import DownloadRequest


class Taken(Enum):
    """What became of a request."""

    STARTED = auto()
    """A job does it, and this chat waits for it."""
    JOINED = auto()
    """This chat waits for it because somebody else asked, and the caller does as well now."""
    ALREADY = auto()
    """The caller waits for it here, or it came a moment ago, because they asked for it before."""
    SENT = auto()
    """Telegram had the files already: they are in the chat."""


class Desk:
    """Takes download requests: a job on the queue, and a watcher for the chat, which a process's follower hears of."""

    def __init__(self, dispatch: Dispatch, watchers: Watchers, copies: Copies) -> None:
        self._dispatch = dispatch
        self._watchers = watchers
        self._copies = copies

    async def take(self, request: DownloadRequest, to: Destination, caller: Caller) -> Taken:
        """Send what Telegram has, or start or join the job. Raises `RequestError`, and what `Copies.send` does."""
        try:
            if await self._copies.send(request, to, caller.id):
                return Taken.SENT
        except SentJustNow:
            return Taken.ALREADY
        submitted = await self._dispatch.submit(request, f"telegram:{caller.id}")
        watcher = Watcher(
            job_id=submitted.job_id,
            **to.model_dump(),
            user_id=caller.id,
            user_name=caller.name,
            language=spoken(),
        )
        if await self._watchers.add(watcher):
            return Taken.STARTED
        return Taken.JOINED if await self.join(watcher, caller) else Taken.ALREADY

    async def join(self, watcher: Watcher, caller: Caller) -> bool:
        """Let the caller wait for it as well; False if they do already, or it is over."""
        return await self._watchers.join(watcher, caller.id, caller.name)


class Canceller:
    """Takes a chat's interest in a job back; the job itself ends when nobody else waits for it."""

    def __init__(self, watchers: Watchers, dispatch: Dispatch) -> None:
        self._watchers = watchers
        self._dispatch = dispatch

    async def cancel(self, watcher: Watcher, by: str) -> None:
        """Cancel it for the watcher's chat, whoever waits there; `by` is the name of who did."""
        await self._watchers.cancel(watcher, by)
        await self.end_if_unwanted(watcher.job_id, by)

    async def leave(self, watcher: Watcher, caller: Caller, *, once: bool = False) -> bool:
        """The caller does not wait for it any more; False if they did not. The last one cancels it for the watcher's chat.

        With `once` it is the only one that an update may lead to, however often it is handled.
        """
        left = await self._watchers.leave(watcher, caller.id, caller.name or "?", once=once)
        if left:
            await self.end_if_unwanted(watcher.job_id, caller.name)
        return left

    async def end_if_unwanted(self, job_id: str, by: str) -> bool:
        """Cancel the job if nobody waits for it any more; whether it ended by that."""
        waiting = [other for other in await self._watchers.at_job(job_id) if not other.cancelled_by]
        wanted = waiting or await self._watchers.is_held(job_id)
        return not wanted and await self._dispatch.cancel(job_id, by)
