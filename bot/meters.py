"""What this process measures of itself, for Prometheus: calls to Telegram, and requests to the web API."""

import time

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import GetUpdates, Response, TelegramMethod
from aiogram.methods.base import TelegramType
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

RESULTS = {
    TelegramRetryAfter: "429",
    TelegramEntityTooLarge: "413",
    TelegramNetworkError: "network",
    TelegramServerError: "5xx",
    TelegramUnauthorizedError: "401",
    TelegramForbiddenError: "403",
    TelegramNotFound: "404",
    TelegramConflictError: "409",
    TelegramBadRequest: "400",
    TelegramMigrateToChat: "400",
}
"""The first that an error is one of."""
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)


class Meters(BaseRequestMiddleware):
    """Counts; as a middleware of the Bot API's session also what Telegram answers."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the lines, which nobody draws
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "manhwa_telegram_calls",
            "Calls to the Bot API; result: ok, cancelled, network, 5xx, or the status, such as 429",
            ("method", "result"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "manhwa_telegram_seconds", "Of calls to the Bot API", ("method",), buckets=SECONDS, registry=self.registry
        )
        self._http_seconds = Histogram(
            "manhwa_http_seconds",
            "Of requests to the web API",
            ("route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request to the web API was answered."""
        self._http_seconds.labels(route, str(status)).observe(seconds)

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        waits_on_purpose = isinstance(method, GetUpdates)
        if waits_on_purpose:
            return await make_request(bot, method)
        name, started, result = type(method).__name__, time.monotonic(), "cancelled"
        try:
            answer = await make_request(bot, method)
        except TelegramAPIError as error:
            result = next((word for kind, word in RESULTS.items() if isinstance(error, kind)), "other")
            raise
        else:
            result = "ok"
            return answer
        finally:
            self._calls.labels(name, result).inc()
            self._call_seconds.labels(name).observe(time.monotonic() - started)
