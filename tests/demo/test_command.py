"""`meta-gan demo`: what it prints, and what it refuses before it serves."""

import importlib.util
import socket

import pytest
import uvicorn

import meta_gan as mg
from tests.cli.conftest import call
from tests.games.nets import tiny_fusion


@pytest.fixture
def folder(tmp_path):
    model = mg.MetaModel(tiny_fusion(), mg.FOMAML(0))
    model.data_card = {"medium": "pictures", "polarity": "light-on-dark"}
    model.save(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def served(monkeypatch):
    """The addresses of the sockets that would have been served."""
    found = []
    run = lambda self, sockets: found.extend(each.getsockname() for each in sockets)  # noqa: E731
    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


def test_it_serves_a_free_port_of_this_machine_and_says_which(folder, served, capsys):
    assert call("demo", "--model", folder, "--port", "0") == 0
    ((host, port),) = served
    assert host == "127.0.0.1" and port > 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"model: {folder}, 8 x 8 x 1", f"the page: http://127.0.0.1:{port} (Ctrl-C ends it)"]


def test_a_port_that_is_taken(folder, served, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert call("demo", "--model", folder, "--port", str(port)) == 2
    assert f"; --port 0 takes one. Received: {port}, Address already in use" in capsys.readouterr().err
    assert not served


def test_a_model_that_is_not_there_and_the_extra_that_is_not(served, capsys, monkeypatch):
    assert call("demo", "--model", "omniglott") == 2
    assert "Did you mean 'omniglot'?" in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert call("demo") == 2
    assert "needs the extra `demo`, `pip install 'meta-gan[demo]'`. Received: no uvicorn" in capsys.readouterr().err
    assert call("demo", "--port", "70000") == 2
    assert "'--port' must be an integer >= 0 and <= 65535" in capsys.readouterr().err
    assert not served
