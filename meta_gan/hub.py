"""Models on the Hugging Face hub: addresses, download of one commit, and upload in one commit.

An address is `hf://USER/NAME` or `hf://USER/NAME@REVISION`, where REVISION is a commit, tag or branch, in the form that
`huggingface_hub` parses. Only the files of a saved model are fetched, all from one commit, into the cache of
`huggingface_hub`. They are inspected before anything is built from them. No other name of a model leads to a request.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meta_gan import classes, reading, storage
from meta_gan.errors import DamagedFileError
from meta_gan.version import VERSION

PREFIX = "hf://"
FORM = "hf://USER/NAME or hf://USER/NAME@REVISION"
LARGEST = dict.fromkeys(storage.FILES, reading.LARGEST_CONFIG) | {storage.WEIGHTS: 2**30}
"""The largest size of each file in bytes, compared with the size that the hub states before anything is fetched."""
KINDS = ("meta_model", "adapted_model")
_COMMIT = re.compile("[0-9a-f]{40}")


def is_address(path: Any) -> bool:
    """Return True if `path` is a string that starts with `hf://`.

    Example:
        >>> is_address("hf://user/name"), is_address("runs")
        (True, False)
    """
    return isinstance(path, str) and path.startswith(PREFIX)


def client() -> Any:
    """Return a `huggingface_hub.HfApi`, with the endpoint and the token that are configured for that library."""
    from huggingface_hub import HfApi

    return HfApi(library_name="meta-gan", library_version=VERSION)


def pinned(address: str) -> str:
    """Return an address with the commit to which its branch or tag resolves now.

    Args:
        address: the address of a model. If it names a commit, no request is made.

    Raises:
        ValueError: the address is malformed; there is no such repository or revision, or no access to it; the extra
            `hub` is not installed; or HF_HUB_OFFLINE is set.
        OSError: the hub cannot be reached.

    Example:
        >>> pinned("hf://user/name@v1")
        'hf://user/name@6c1f5c3e0a3b9a1d6a0ff3c65f2cf2f9d0f6a3b1'
    """
    repo, revision = _parsed(address)
    if revision is None or not _COMMIT.fullmatch(revision):
        _require_network(address)
        with _named_errors(address):
            revision = client().model_info(repo, revision=revision or "main").sha
    return f"{PREFIX}{repo}@{revision}"


def fetch(address: str, kind: str = KINDS[0]) -> Path:
    """Return the folder of a model on the hub, and download the model if that commit is not in the cache.

    Args:
        address: the address of the model.
        kind: the required kind of the model, one of `KINDS`.

    Returns:
        A folder in the cache of `huggingface_hub`, named after the commit.

    Raises:
        ValueError: as in `pinned`; the repository has no model, a model of another kind, or one that names classes
            other than those of this package and harmless ones of Keras; a file is larger than `LARGEST` allows.
        DamagedFileError: a file is damaged.
        OSError: the hub cannot be reached, or the disk is full.

    Example:
        >>> fetch("hf://user/name").name
        '6c1f5c3e0a3b9a1d6a0ff3c65f2cf2f9d0f6a3b1'
    """
    repo, commit = _parsed(pinned(address))
    folder = _cached(repo, str(commit)) or _download(address, repo, str(commit))
    _check(folder, repr(address), (kind,))
    return folder


def send(
    folder: str | os.PathLike[str],
    address: str,
    private: bool = True,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Upload the folder of a saved model in one commit; see `meta_gan.upload`, which also takes a model itself."""
    repo, given = _parsed(address)
    if given is not None:
        raise ValueError(
            f"the address of an upload must be hf://USER/NAME; name a branch by 'revision'. Received: {address!r}"
        )
    if revision is not None and (not revision or _COMMIT.fullmatch(revision)):
        raise ValueError(f"'revision' of an upload must be a branch or None. Received: {revision!r}")
    _require_network(address)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with tempfile.TemporaryDirectory() as work:
        # Checked and uploaded from a copy, because a run could replace the model in between.
        names = sorted(name for name in storage.FILES if os.path.lexists(Path(folder) / name))
        for name in names:
            Path(work, name).write_bytes(reading.read_bytes(Path(folder) / name, LARGEST[name]))
        _check(Path(work), f"the model in {str(folder)!r}", KINDS)
        api = client()
        with _named_errors(address):
            api.create_repo(repo, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo, branch=revision, exist_ok=True)
            there = {each.rfilename for each in api.model_info(repo, revision=revision or "main").siblings or ()}
            operations: list[Any] = [CommitOperationAdd(name, str(Path(work, name))) for name in names]
            # Delete stale files of an earlier upload, such as its metadata if this model was saved without.
            operations += [CommitOperationDelete(name) for name in sorted(there & storage.FILES - set(names))]
            message = message or "Upload a model of meta_gan"
            done = api.create_commit(repo, operations, commit_message=message, revision=revision)
    return f"{PREFIX}{repo}@{done.oid}"


def _parsed(address: str) -> tuple[str, str | None]:
    """Return the repository and the revision of an address."""
    try:
        from huggingface_hub import parse_hf_uri
    except ImportError as error:
        raise ValueError(
            f"{address!r} needs the extra `hub`, `pip install 'meta-gan[hub]'`. Received: no huggingface_hub"
        ) from error
    try:
        found = parse_hf_uri(address)
    except ValueError as error:
        raise ValueError(f"an address must be {FORM}. Received: {address!r}") from error
    if not is_address(address) or found.type != "model" or found.path_in_repo:
        raise ValueError(f"an address must be {FORM}, with %2F for a slash in REVISION. Received: {address!r}")
    return found.id, found.revision


def _require_network(address: str) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ValueError(
            f"{address!r} must be pinned to a commit that was loaded before, as {PREFIX}USER/NAME@COMMIT, while "
            "HF_HUB_OFFLINE is set. Received: one that needs the network"
        )


def _cached(repo: str, commit: str) -> Path | None:
    """Return the folder of a commit in the cache, or None if it lacks files of the model; a commit never changes."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(repo, name, revision=commit) for name in (storage.CONFIG, storage.WEIGHTS)]
    return Path(str(found[0])).parent if all(isinstance(each, str) for each in found) else None


def _download(address: str, repo: str, commit: str) -> Path:
    _require_network(address)
    api = client()
    with _named_errors(address):
        info = api.model_info(repo, revision=commit, files_metadata=True)
    sizes = {each.rfilename: each.size for each in info.siblings or () if each.rfilename in storage.FILES}
    if missing := sorted({storage.CONFIG, storage.WEIGHTS} - set(sizes)):
        raise ValueError(f"{address!r} must hold a model of meta_gan. Received: a repository without {missing}")
    for name, size in sizes.items():
        if not isinstance(size, int) or size > LARGEST[name]:
            raise ValueError(f"{name} of {address!r} must be of at most {LARGEST[name]} bytes. Received: {size}")
    folders = set()
    # The weights come last, so that they are in the cache only if the others are.
    for name in sorted(sizes, key=lambda name: (name == storage.WEIGHTS, name)):
        with _named_errors(address):
            file = Path(api.hf_hub_download(repo, name, revision=commit))
        if file.stat().st_size != sizes[name]:
            raise DamagedFileError(
                f"{name} of {address!r} must be of {sizes[name]} bytes. Received: {file.stat().st_size}"
            )
        folders.add(file.parent)
    (folder, *others) = folders
    if others or folder.name != commit:
        received = sorted(each.name for each in folders)
        raise ValueError(f"the files of {address!r} must be those of commit {commit}. Received: {received}")
    return folder


def _check(folder: Path, name: str, kinds: tuple[str, ...]) -> None:
    """Raise a ValueError unless a folder contains a complete model of one of `kinds` and names only safe classes."""
    try:
        kind, found = classes.of_folder(folder, set())
    except ValueError as error:
        raise DamagedFileError(f"{name} must be a whole model. Received: {error}") from error
    if kind not in kinds:
        raise ValueError(f"{name} must be a {' or '.join(kinds)}. Received: a {kind}")
    if found.refused:
        raise ValueError(
            f"{name} must name classes of meta_gan and harmless ones of Keras only, in sizes that fit its weights. "
            f"Received: {', '.join(found.refused)}"
        )


@contextmanager
def _named_errors(address: str) -> Iterator[None]:
    """Turn an error of a request into a ValueError (a mistake of the user) or an OSError (a failure of the network)."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.HTTPError, OSError, ValueError) as error:
        # A file that is missing in the cache is the consequence of a failed request, which is the cause to report.
        absent = isinstance(error, errors.LocalEntryNotFoundError)
        cause = error.__cause__ if absent and error.__cause__ else error
        if isinstance(cause, OSError) and cause.errno is not None:
            raise  # a full disk, or a cache that cannot be written
        raise _explained(address, cause) from error


def _explained(address: str, cause: BaseException) -> Exception:
    from huggingface_hub import errors

    said = " ".join(str(cause).split())[:200] or type(cause).__name__
    status = getattr(getattr(cause, "response", None), "status_code", None)
    login = "`hf auth login`, or HF_TOKEN"
    if isinstance(cause, errors.GatedRepoError):
        required, received = (
            f"a repository that you have access to: ask for it on its page, then {login}",
            "a gated one",
        )
    elif isinstance(cause, errors.RevisionNotFoundError):
        required, received = "a commit, tag or branch of that repository", "a revision that it does not have"
    elif isinstance(cause, errors.RepositoryNotFoundError):
        required, received = f"a repository that exists; if it is private, with access to it ({login})", "none"
    elif status in (401, 403):
        required, received = f"a repository that your token may use ({login})", f"status {status}: {said}"
    elif isinstance(cause, ValueError) or (status is not None and status < 500 and status != 429):
        required, received = "what the hub accepts", said
    else:
        return OSError(errno.EHOSTUNREACH, f"{address!r} could not be read from or written to the hub: {said}")
    return ValueError(f"{address!r} must be {required}. Received: {received}")
