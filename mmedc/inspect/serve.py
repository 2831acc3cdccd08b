"""The server of `mmedc inspect`: what it listens on, and how it ends."""

import contextlib
import os
import socket
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from mmedc.errors import RequestError
from mmedc.inspect.app import make_app
from mmedc.inspect.guard import LEAST_TOKEN, is_loopback
from mmedc.inspect.looked import Looked
from mmedc.storage import is_local

TOKEN = "MMEDC_INSPECT_TOKEN"
"""The environment variable that may have the token."""


def read_token(token: str | None, file: Path | None) -> str:
    """Return the token that was given, or that of a file, or of the environment; empty where there is none.

    Raises: RequestError for a file that cannot be read, and for a token that is too short.
    """
    found = token or ""
    if not found and file is not None:
        try:
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise RequestError(f"--token-file {file}: cannot be read ({problem})") from None
        if not found:
            raise RequestError(
                f"--token-file {file}: is empty; write a token of {LEAST_TOKEN} characters or more to it"
            )
    found = found or os.environ.get(TOKEN, "").strip()
    if found and (len(found) < LEAST_TOKEN or not found.isascii() or not found.isprintable()):
        raise RequestError(f"the token is too short, or has other than ASCII characters; give {LEAST_TOKEN} or more")
    return found


def marks_of(corpus: str, given: Path | None) -> Path:
    """Return the file of marks: the one that was given, or one beside the corpus.

    Raises: RequestError for a corpus in an object store, beside which no line can be appended.
    """
    if given is not None:
        if given.is_dir():
            raise RequestError(f"--marks {given}: is a folder; name a file")
        return given
    if is_local(corpus):
        return Path(os.path.abspath(corpus) + ".marks.jsonl")
    return Path(corpus.rstrip("/").rsplit("/", 1)[-1] + ".marks.jsonl")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises: RequestError where the address is in use or not of this machine."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(kind, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else str(problem)
        raise RequestError(f"{host}:{port}: cannot listen there ({why}); choose another --port or --host") from None
    return found


def serve(
    corpus: str,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str = "",
    names: Sequence[str] = (),
    marks: Path | None = None,
    browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the pages of a corpus until SIGINT or SIGTERM.

    Raises: RequestError for an address beyond this machine without a token; CorpusError where there is no corpus.
    """
    import uvicorn

    if not is_loopback(host) and not token:
        raise RequestError(
            f"--host {host}: would show the corpus to other machines; give a token by --token-file FILE, or in the "
            f"environment variable {TOKEN}"
        )
    looked = Looked(corpus, marks_of(corpus, marks))
    listening = listen(host, port)
    every = host in ("0.0.0.0", "::", "")
    own = [*names, *([socket.gethostname()] if every else [host])]
    # Neither addresses of requests nor their headers are logged: they have search words, and perhaps a token.
    config = uvicorn.Config(
        make_app(looked, own, token, every),
        access_log=False,
        log_level="error",
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        http="h11",
    )
    server = uvicorn.Server(config)
    shown = "localhost" if every or host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    say(address)
    if browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    try:
        with contextlib.suppress(KeyboardInterrupt):  # the server has ended when it hands the signal on
            server.run(sockets=[listening])
    finally:
        looked.close()
        listening.close()
