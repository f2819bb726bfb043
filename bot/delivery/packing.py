"""Makes parcels of what followers of titles were not told yet."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from bot.memory.follows import Follow, Follows
from bot.memory.parcels import OUTBOX, Parcel, new_id
from bot.memory.preferences import Chosen
from bot.memory.quiet_hours import QuietHours
from bot.requests import request_for
from bot.settings import BotSettings
from tasks.models import Chapter, DownloadRequest, Split
from tasks.titles import store
from tasks.titles.store import Pending, TitleStore
from tasks.titles.title import News

log = logging.getLogger(__name__)

AT_ONCE = 200
LONGEST_WAIT = 600.0
"""Seconds after which it is looked anew whether a chat wants to hear of news: it may have changed its mind."""


@dataclass(frozen=True)
class Packing:
    """Any process may pack for any chat: who is slower does nothing."""

    _titles: TitleStore
    _follows: Follows
    _quiet_hours: QuietHours
    _chosen: Chosen
    _settings: BotSettings

    async def pack_all(self, now: float) -> None:
        """Make parcels of all that is new by now."""
        while due := await self._titles.to_tell(now, AT_ONCE):
            for key, follower in due:
                await self._pack(key, int(follower), now)

    async def is_muted(self, follow: Follow, now: float) -> float | None:
        """Until when the chat wants to hear nothing, as far as is known; None = it may be told."""
        quiet = await self._quiet_hours.of(follow.chat_id)
        until = quiet.ends_at(now) if quiet else None
        return until and min(until, now + LONGEST_WAIT)

    async def _pack(self, key: str, chat_id: int, now: float) -> None:
        follower = str(chat_id)
        follow, pending = await self._follows.get(chat_id, key), await self._titles.pending(key, follower)
        if follow is None:
            await self._pass_over(key, chat_id, now)
        elif pending is None or not self._settings.is_open_to(follow.chat_id, follow.user_id):
            await self._titles.put_off(key, follower, None)
        elif follow.paused:
            await self._pause(key, chat_id)
        elif until := await self.is_muted(follow, now):
            await self._titles.put_off(key, follower, until)
        else:
            chapters, to = self._next(follow, pending)
            parcel = await self._parcel(follow, chapters)
            text = store.Parcel(OUTBOX, new_id(chat_id, key, to), parcel.model_dump_json()) if parcel else None
            if await self._titles.advance(key, follower, pending.told, to, text):
                log.info("%s new chapters for chat %s", len(chapters), chat_id)

    async def _pass_over(self, key: str, chat_id: int, now: float) -> None:
        if await self._follows.is_there(chat_id, key):  # written by a later release, which tells them
            await self._titles.put_off(key, str(chat_id), now + LONGEST_WAIT)
        else:
            await self._titles.unfollow(key, str(chat_id))

    async def _pause(self, key: str, chat_id: int) -> None:
        await self._titles.put_off(key, str(chat_id), None)
        # It may have gone on in between, and the reminder come too early.
        follow = await self._follows.get(chat_id, key)
        if follow and not follow.paused:
            await self._titles.remind(key, str(chat_id))

    def _next(self, follow: Follow, pending: Pending) -> tuple[list[Chapter], int]:
        """The next chapters that the chat is to be told of, no more than fit into a job, and the number of the last news."""
        picked: list[Chapter] = []
        for number, item in sorted(pending.items.items()):
            if follow.language is not None and item.language not in {follow.language, None}:
                continue
            if len(picked) == self._settings.max_chapters_per_job:
                return picked, number - 1
            picked.append(pick(item, follow.group))
        return picked, pending.news

    async def _parcel(self, follow: Follow, chapters: Iterable[Chapter]) -> Parcel | None:
        chapters = list({one.id: one for one in chapters}.values())
        if not chapters:
            return None
        readable = [one for one in chapters if one.available]
        elsewhere = tuple(one for one in chapters if not one.available)
        return Parcel(request=await self._request(follow, readable) if readable else None, elsewhere=elsewhere)

    async def _request(self, follow: Follow, chapters: list[Chapter]) -> DownloadRequest:
        # As all who follow it have it, so that they get the same.
        title = await self._titles.read(follow.manga.key)
        theirs = await self._chosen.of(follow.user_id)
        preferences = (await self._chosen.of(follow.chat_id)).over(theirs)
        chosen = {"format": follow.format or preferences.format, "split": Split.ALL}
        return request_for(
            title.manga if title else follow.manga, chapters, preferences.model_copy(update=chosen), self._settings
        )


def pick(item: News, group: str | None) -> Chapter:
    """The chapter as that group did it, else as the first that can be had; where none can, as the first that is linked to."""
    return max(item.chapters, key=lambda one: (one.available, group in one.groups, bool(one.url)))
