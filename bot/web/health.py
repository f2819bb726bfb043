"""`/api/health`: whether a job that is sent now would be done."""

from http import HTTPStatus

from aiohttp import web

from bot.vitals import Vitals
from bot.web.answers import Problem, answer
from bot.web.routes import Asked, Route


class Unhealthy(Vitals, Problem):
    """How the service is, and why no job would be done now."""


async def health(asked: Asked) -> web.Response:
    vitals = await asked.rooms.doctor.look()
    if vitals.healthy:
        return answer(vitals)
    why = " ".join(vitals.problems)
    return answer(Unhealthy(**dict(vitals), error="unhealthy", message=why), HTTPStatus.SERVICE_UNAVAILABLE)


ROUTES = (
    Route(
        "GET",
        "/api/health",
        "Whether a job that is sent now would be done",
        health,
        {HTTPStatus.OK: Vitals, HTTPStatus.SERVICE_UNAVAILABLE: Unhealthy},
        is_open=True,
    ),
)
