"""A server of answers: asked, asked again, and its key never shown."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mmedc.bench.config import Bench
from mmedc.bench.items import QUESTIONS, read_items
from mmedc.bench.scoring import score
from mmedc.bench.served import Served
from mmedc.chat import Endpoint
from mmedc.errors import RecipeError, RequestError, WorkError


class Stub:
    """An OpenAI-compatible server on the loopback, at a port that the system chooses."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.refuse: list[int] = []
        self.answer: Any = lambda prompt: "The answer is A."
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.asked.append(body)
                stub.keys.append(self.headers.get("Authorization"))
                code = stub.refuse.pop(0) if stub.refuse else 200
                said = {"choices": [{"message": {"content": stub.answer(body["messages"][0]["content"])}}]}
                sent = json.dumps(
                    said if code == 200 else {"error": f"no, {self.headers.get('Authorization')}"}
                ).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def how(stub: Stub, **settings: object) -> Bench:
    given = {"model": "m", "items": [QUESTIONS], "backend": "server", "endpoint": stub.url, "protocol": "generate"}
    return Bench.model_validate({**given, **settings})


def test_answers_of_a_server_are_scored(stub: Stub, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame-open-1234")
    solved = {item.question: item for item in read_items((QUESTIONS,))}

    def answer(prompt: str) -> str:
        item = next(item for question, item in solved.items() if question in prompt)
        return f"###Answer: OPTION {','.join(item.gold)} IS CORRECT." if item.lang != "ru" else "?"

    stub.answer = answer
    found = score(how(stub, prompt="paper", out=str(tmp_path)))
    assert found["languages"]["fr"]["accuracy"] == 1.0 and found["languages"]["ru"]["unparsed"] == 3
    assert {body["temperature"] for body in stub.asked} == {0} and len(stub.asked) == 18
    assert set(stub.keys) == {"Bearer sesame-open-1234"}
    assert "sesame" not in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    score(how(stub, prompt="paper", out=str(tmp_path)))
    assert len(stub.asked) == 18  # answers are kept


def test_a_server_that_is_busy_is_asked_again(stub: Stub) -> None:
    stub.refuse = [503, 429]
    found = dict(Served(stub.url, "m", pause_s=0.01).generate(["one"], 8))
    assert found == {0: "The answer is A."} and len(stub.asked) == 3


def test_what_a_server_refuses_is_told_without_the_key(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame-open-1234")
    stub.refuse = [401]
    with pytest.raises(WorkError, match="the key is taken from OPENAI_API_KEY") as problem:
        dict(Served(stub.url, "m").generate(["one"], 8))
    assert "sesame" not in str(problem.value)
    with pytest.raises(WorkError, match="no answer after 5 tries"):
        dict(Served("http://127.0.0.1:9/v1", "m", pause_s=0.001).generate(["one"], 8))
    with pytest.raises(RecipeError, match="expected http"):
        Served("localhost:8000", "m")


def test_an_endpoint_is_a_url_and_answers_as_one(stub: Stub) -> None:
    with pytest.raises(RequestError, match="expected http://HOST:PORT/v1"):
        Endpoint("localhost:8000", "m").ask("one", 8)
    stub.refuse = [404]
    with pytest.raises(RequestError, match="answered 404"):
        Endpoint(stub.url, "m", pause_s=0).ask("one", 8)
    stopped = threading.Event()
    stopped.set()
    stub.refuse = [503, 503]
    with pytest.raises(WorkError, match="answered 503"):
        Endpoint(stub.url, "m", pause_s=9).ask("one", 8, stopped)
    assert len(stub.refuse) == 1  # it did not try again
