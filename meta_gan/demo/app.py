"""The demo's page and its three calls, as a Starlette application; it needs the extra `demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from meta_gan.demo.answers import BYTES, FILES, IMAGES, Demo, Request
from meta_gan.errors import DivergenceError

LONGEST = IMAGES * BYTES * 4 // 3 + 2**16
"""Bytes of the longest request that is read: all pictures in base64."""
HOSTS = ["127.0.0.1", "localhost"]
"""The names by which the page may be asked for; another name is another site's, which points to this machine."""
# The page needs nothing from anywhere else, and nothing else may show it.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(demo: Demo) -> Starlette:
    """Return the application.

    `GET /api/models` describes the models. `POST /api/samples` takes the JSON of a `Request` and returns that of an
    `Answer`; `POST /api/download/WHAT` takes the same and returns a file of `FILES`. Errors are
    `{"error": one line}` with status 400, or 413 for a request that is too long, 415 for one that is not JSON, and 500
    for divergence.

    Args:
        demo: answers the calls.
    """

    async def models(request: HTTPRequest) -> Response:
        return await _answered(demo.described, lambda found: JSONResponse(found))

    async def samples(request: HTTPRequest) -> Response:
        content = await _content(request)
        if isinstance(content, Response):
            return content
        return await _answered(
            lambda: demo.answer(Request.from_json(content)), lambda found: JSONResponse(found.to_json())
        )

    async def download(request: HTTPRequest) -> Response:
        what, content = request.path_params["what"], await _content(request)
        if isinstance(content, Response):
            return content
        return await _answered(
            lambda: demo.download(Request.from_json(content), what),
            lambda found: Response(
                found,
                media_type="application/octet-stream",
                headers={"Content-Disposition": f'attachment; filename="{FILES[what]}"'},
            ),
        )

    page = StaticFiles(directory=Path(__file__).parent / "page", html=True)
    routes = [
        Route("/api/models", models),
        Route("/api/samples", samples, methods=["POST"]),
        Route("/api/download/{what}", download, methods=["POST"]),
        Mount("/", page),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, HOSTS), Middleware(_Headers)])


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
        return Response(status_code=499)
    except (ValueError, RecursionError) as error:
        return JSONResponse({"error": f"a request must be JSON. Received: {error}"}, 400)


async def _answered(work: Any, made: Any) -> Response:
    """Do work in a thread, and return the response made of it, or of its error."""
    try:
        return made(await run_in_threadpool(work))
    except DivergenceError as error:
        return JSONResponse({"error": " ".join(str(error).split())}, 500)
    except ValueError as error:
        return JSONResponse({"error": " ".join(str(error).split())}, 400)
