"""The rate rules of a chat, as strict as is publicly known: who breaks one is shut out for a while."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

from bot.local.telegram.errors import ApiError

BURST_IN_PRIVATE = 3
PER_MINUTE_IN_GROUP = 20
IN_ALL_PER_SECOND = 30


class RateRules:
    """Counts what a bot says; sends and edits together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: defaultdict[int, deque[float]] = defaultdict(deque)
        self._shut_until: dict[int, float] = {}
        self._all: deque[float] = deque()

    def say(self, chat_id: int) -> None:
        """Count one message or edit. Raises the 429 that Telegram would answer."""
        now = self._clock()
        if self._shut_until.get(chat_id, 0) > now:
            raise _too_many(self._shut_until[chat_id] - now)
        window, limit = (60.0, PER_MINUTE_IN_GROUP) if chat_id < 0 else (float(BURST_IN_PRIVATE), BURST_IN_PRIVATE)
        wait = max(_over(self._said[chat_id], now, window, limit), _over(self._all, now, 1.0, IN_ALL_PER_SECOND))
        if wait > 0:
            self._shut_until[chat_id] = now + wait
            raise _too_many(wait)
        self._said[chat_id].append(now)
        self._all.append(now)


def _over(said: deque[float], now: float, window: float, limit: int) -> float:
    """Seconds until the window has room again; 0 = it has."""
    while said and said[0] <= now - window:
        said.popleft()
    return said[0] + window - now if len(said) >= limit else 0.0


def _too_many(wait: float) -> ApiError:
    seconds = int(wait) + 1
    return ApiError(429, f"Too Many Requests: retry after {seconds}", breach=True, retry_after=seconds)
