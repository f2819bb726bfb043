"""The OpenAPI 3.1 document, made of the routes and their models, and a page to read it."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel

from bot.web.answers import SAFE, Problem
from bot.web.routes import Asked, Content, Route

PAGE = Path(__file__).with_name("page")
ABOUT = """\
Downloads chapters of manga on a queue. `/api/sources` tells which sources there are, `/api/search` and `/api/chapters` the ids
of titles and their chapters. Ask for chapters, look at the status until `state` is `SUCCESS`, fetch the file.
Every error is `{"error": "<code>", "message": "<sentence>"}`."""
VERSION = "1.0"


def routes(others: Sequence[Route]) -> tuple[Route, ...]:
    """The document of those routes, and the page."""
    text = json.dumps(document(others), ensure_ascii=False)

    async def openapi(_: Asked) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    def page(name: str, content_type: str) -> Route:
        body = PAGE.joinpath(name).read_text()

        async def show(_: Asked) -> web.Response:
            return web.Response(text=body, content_type=content_type, headers=SAFE)

        path = "/api/docs" if name == "index.html" else f"/api/docs/{name}"
        return Route("GET", path, "A page to read this", show, {HTTPStatus.OK: (content_type,)}, is_open=True)

    return (
        Route(
            "GET", "/api/openapi.json", "This document", openapi, {HTTPStatus.OK: ("application/json",)}, is_open=True
        ),
        page("index.html", "text/html"),
        page("docs.css", "text/css"),
        page("docs.js", "text/javascript"),
    )


def document(described: Sequence[Route]) -> dict[str, Any]:
    """What those routes take and answer, as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    whole = OpenAPI.model_validate(
        {
            "openapi": "3.1.1",
            "info": {"title": "Manhwa Downloader", "version": VERSION, "description": ABOUT},
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "API_TOKEN"}}
            },
            # Without API_TOKEN, programs on the same machine need none.
            "security": [{"token": []}, {}],
        }
    )
    filled = construct_open_api_with_schema_class(whole)
    return filled.model_dump(by_alias=True, exclude_none=True, mode="json")


def _operation(route: Route) -> dict[str, Any]:
    answers = {str(status): _answer(status, content) for status, content in route.answers.items()}
    if route.leads_to:
        taken = {"task_id": "$response.body#/task_id"}
        first = answers[str(next(iter(route.answers)))]
        first["links"] = {name: {"operationId": name, "parameters": taken} for name in route.leads_to}
    problems = {str(status): _answer(status, Problem) for status in route.all_problems}
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "parameters": [*_in_path(route.path), *_in_query(route.query), *_in_headers(route.headers)],
        "responses": answers | problems,
    }
    if route.body:
        schema: dict[str, Any] = {"schema": PydanticSchema(schema_class=route.body)}
        kinds = ("application/json", "application/x-www-form-urlencoded")
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, schema)}
    if route.is_open or route.guards_itself:
        operation["security"] = []
    return operation


def _answer(status: int, content: Content) -> dict[str, Any]:
    if isinstance(content, tuple):
        kinds: dict[str, Any] = {kind: {} for kind in content}
    else:
        kinds = {"application/json": {"schema": PydanticSchema(schema_class=content)}}
    return {"description": HTTPStatus(status).phrase, "content": kinds}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: type[BaseModel] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _in_headers(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}
        for name, about in headers.items()
    ]
