"""`meta-gan demo`."""

from __future__ import annotations

import argparse
import importlib.util
import socket

from meta_gan import loading
from meta_gan.checks import check_integer
from meta_gan.cli import arguments as flags
from meta_gan.cli import console

EXAMPLE = "meta-gan demo --model omniglot"
HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    main = parser.add_argument_group("main arguments")
    main.add_argument(
        "--model",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help=f"{flags.MODEL_HELP}, of pictures (default: all shipped models)",
    )
    other = parser.add_argument_group("other arguments")
    port = "port of this machine, >= 0; 0 for a free one (default: 8000)"
    other.add_argument("--port", type=int, default=8000, metavar="N", help=port)


def run(arguments: argparse.Namespace) -> None:
    """Serve the page to this machine until Ctrl-C."""
    check_integer(arguments.port, "--port", 0, 65535)
    if missing := [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]:
        extra = "`meta-gan demo` needs the extra `demo`, `pip install 'meta-gan[demo]'`"
        raise ValueError(f"{extra}. Received: no {' and no '.join(missing)}")
    # Imported here: the extra may be missing, and the other commands do not need it.
    import uvicorn

    from meta_gan.demo import Demo
    from meta_gan.demo.app import application

    demo = Demo(arguments.model or loading.shipped())
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((HOST, arguments.port))
        except OSError as error:
            required = "--port must be a free port of this machine; --port 0 takes one"
            raise ValueError(f"{required}. Received: {arguments.port}, {error.strerror}") from error
        app = application(demo)
        for each in demo.described():
            console.say(f"model: {each['name']}, {each['height']} x {each['width']} x {each['channels']}")
        console.result(f"the page: http://{HOST}:{place.getsockname()[1]} (Ctrl-C ends it)")
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[place])
