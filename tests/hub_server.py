"""A server on loopback that speaks the part of the Hugging Face hub's API that models are loaded and saved by."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Repository:
    """The files of every commit, and the commit of every branch and tag."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    private: bool = False
    gated: bool = False

    def files(self, revision):
        """`(commit, files)` of a revision, or None."""
        commit = self.refs.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None

    def commit(self, files, message="files", branch="main"):
        """Make a commit of all the files, and return its hash."""
        description = json.dumps([message, len(self.commits), sorted(files)])
        made = hashlib.sha1(description.encode()).hexdigest()
        self.commits[made], self.refs[branch] = dict(files), made
        self.messages.append(message)
        return made


class Hub:
    """The repositories, and a log of the requests as `METHOD PATH`.

    `stated` replaces the sizes that are stated of files, and `failing` is the status of every answer.
    """

    def __init__(self):
        self.repositories, self.log, self.stated, self.failing = {}, [], {}, None
        models, one = "/api/models/{user}/{name}", ["POST"]
        self.app = Starlette(
            routes=[
                Route("/api/repos/create", self.create, methods=one),
                Route("/api/validate-yaml", self.validate, methods=one),
                Route(models, self.info),
                Route(models + "/revision/{revision}", self.info),
                Route(models + "/branch/{revision}", self.branch, methods=one),
                Route(models + "/preupload/{revision}", self.preupload, methods=one),
                Route(models + "/commit/{revision}", self.write, methods=one),
                Route("/{user}/{name}/resolve/{revision}/{file:path}", self.file),
            ]
        )

    def reset(self):
        """Forget everything."""
        self.repositories.clear(), self.log.clear(), self.stated.clear()
        self.failing = None

    def _found(self, request):
        """`(repository, commit, files)`, or the answer that something is missing."""
        self.log.append(f"{request.method} {request.url.path}")
        if self.failing:
            return Response("", self.failing)
        place = request.path_params
        repository = self.repositories.get(f"{place['user']}/{place['name']}")
        if repository is None:
            return Response("", 404, {"X-Error-Code": "RepoNotFound"})
        found = repository.files(place.get("revision", "main"))
        if found is None:
            return Response("", 404, {"X-Error-Code": "RevisionNotFound"})
        return repository, *found

    async def info(self, request):
        """Answer with the commit, and the names and sizes of its files."""
        if isinstance(found := self._found(request), Response):
            return found
        _, commit, files = found
        name = "{user}/{name}".format(**request.path_params)
        siblings = [{"rfilename": n, "size": self.stated.get(n, len(data))} for n, data in files.items()]
        return JSONResponse({"id": name, "modelId": name, "sha": commit, "siblings": siblings})

    async def file(self, request):
        """Answer with a file, or with what is known of it."""
        if isinstance(found := self._found(request), Response):
            return found
        repository, commit, files = found
        if repository.gated:
            return Response("", 403, {"X-Error-Code": "GatedRepo"})
        name = request.path_params["file"]
        if name not in files:
            return Response("", 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        data = files[name]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": commit}
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(data))})
        return Response(data, headers=headers)

    async def create(self, request):
        """Create a repository with one commit, unless it exists."""
        self.log.append(f"{request.method} {request.url.path}")
        if self.failing:
            return Response("", self.failing)
        asked = await request.json()
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.repositories:
            return JSONResponse({"url": f"{request.base_url}{name}"}, 409)
        made = self.repositories[name] = Repository(private=asked.get("visibility") == "private")
        made.commit({".gitattributes": b""}, "initial commit")
        return JSONResponse({"url": f"{request.base_url}{name}"})

    async def validate(self, request):
        """Accept every card's header."""
        self.log.append(f"{request.method} {request.url.path}")
        return JSONResponse({"errors": [], "warnings": []})

    async def branch(self, request):
        """Create a branch at the head of main."""
        self.log.append(f"{request.method} {request.url.path}")
        repository = self.repositories["{user}/{name}".format(**request.path_params)]
        repository.refs.setdefault(request.path_params["revision"], repository.refs["main"])
        return JSONResponse({})

    async def preupload(self, request):
        """Ask for every file within the commit."""
        if isinstance(found := self._found(request), Response):
            return found
        asked = (await request.json())["files"]
        files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]
        return JSONResponse({"files": files})

    async def write(self, request):
        """Make a commit from its lines of JSON."""
        if isinstance(found := self._found(request), Response):
            return found
        repository, _, files = found
        files, message = dict(files), ""
        for line in (await request.body()).splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert entry["key"] == "deletedFile"
                del files[value["path"]]
        made = repository.commit(files, message, request.path_params["revision"])
        place = "{user}/{name}".format(**request.path_params)
        return JSONResponse({"commitUrl": f"{request.base_url}{place}/commit/{made}", "commitOid": made})


@contextlib.contextmanager
def serving(app):
    """The address of an app that is served on a free port of this machine."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
