"""The demo's page and its three calls, as a Starlette application; it needs the extra `demo`."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from meta_gan.demo import site
from meta_gan.demo.answers import BYTES, FILES, IMAGES, Demo, Request
from meta_gan.errors import DivergenceError

LONGEST = IMAGES * BYTES * 4 // 3 + 2**16
"""Bytes of the longest request that is read: all pictures in base64."""
GONE = 499
"""The status of an answer that nobody waits for any more."""
HOSTS = ["127.0.0.1", "localhost"]
"""The names by which the page may be asked for; another name is another site's, which points to this machine."""
# The page needs nothing from anywhere else, and nothing else may show it.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(demo: Demo) -> Starlette:
    """Return the application.

    `GET /api/models` describes the models. `POST /api/samples` takes the JSON of a `Request` and returns that of an
    `Answer`; `POST /api/download/WHAT` takes the same and returns a file of `FILES`. Errors are
    `{"error": one line}` with status 400, or 413 for a request that is too long, 415 for one that is not JSON, and 500
    for divergence and whatever else goes wrong. Calls are answered one at a time; one that the page gave up while it
    waited is not computed.

    Args:
        demo: answers the calls; its models are loaded now.

    Raises:
        ValueError: a model that makes no pictures.
    """
    described, turn = demo.described(), asyncio.Lock()

    async def models(request: HTTPRequest) -> Response:
        return JSONResponse(described)

    async def samples(request: HTTPRequest) -> Response:
        content = await _content(request)
        if isinstance(content, Response):
            return content
        return await _answered(request, turn, lambda: JSONResponse(demo.answer(Request.from_json(content)).to_json()))

    async def download(request: HTTPRequest) -> Response:
        what, content = request.path_params["what"], await _content(request)
        if isinstance(content, Response):
            return content

        def made() -> Response:
            file = demo.download(Request.from_json(content), what)
            disposition = {"Content-Disposition": f'attachment; filename="{FILES[what]}"'}
            return Response(file, media_type="application/octet-stream", headers=disposition)

        return await _answered(request, turn, made)

    page = site.render("demo.html", "demo.js", Request.count)

    async def index(request: HTTPRequest) -> Response:
        return HTMLResponse(page)

    routes = [
        Route("/", index),
        Route("/index.html", index),
        Route("/api/models", models),
        Route("/api/samples", samples, methods=["POST"]),
        Route("/api/download/{what}", download, methods=["POST"]),
        Mount("/", StaticFiles(directory=site.FILES)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, HOSTS)])


class _Headers:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await self.app(scope, receive, sending)


async def _content(request: HTTPRequest) -> Any:
    """Return the decoded JSON of a request, or the response that refuses it. Forms of other sites cannot send JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return JSONResponse({"error": "a request must be application/json"}, 415)
    parts, length = [], 0
    try:
        async for part in request.stream():
            length += len(part)
            if length > LONGEST:
                return JSONResponse({"error": f"a request must have at most {LONGEST} bytes"}, 413)
            parts.append(part)
        return json.loads(b"".join(parts))
    except ClientDisconnect:
        return Response(status_code=GONE)
    except (ValueError, RecursionError) as error:
        return JSONResponse({"error": f"a request must be JSON. Received: {error}"}, 400)


async def _answered(request: HTTPRequest, turn: asyncio.Lock, work: Any) -> Response:
    """Return the response that `work` makes in a thread when it is its turn, or that of its error."""
    try:
        async with turn:
            if await request.is_disconnected():
                return Response(status_code=GONE)
            return await run_in_threadpool(work)
    except ValueError as error:
        return JSONResponse({"error": " ".join(str(error).split())}, 500 if isinstance(error, DivergenceError) else 400)
    except Exception as error:
        logging.exception("the demo failed")
        return JSONResponse({"error": f"the server failed: {type(error).__name__}; its terminal says more"}, 500)
