import os
import secrets
from pathlib import Path

import pytest
from hypothesis import settings

from mmedc.engine.run import AnyPass, Inline, Progress
from mmedc.pipeline.build import Build
from mmedc.policy import Policy, read_policy
from mmedc.recipe import read_recipe

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")
LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name gzip data by their argument: they hold the time, and the names of tests must be equal in all processes."""
    return argname if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


@pytest.fixture(scope="session")
def policy() -> Policy:
    return read_policy("balanced", LANGUAGES)


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data sets, where they are at hand."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not on this machine")
    return DATA


class Notes:
    """Remembers how many units were already done."""

    def __init__(self) -> None:
        self.done: dict[str, tuple[int, int]] = {}

    def begin(self, current: AnyPass, done: int) -> None:
        self.done[current.name] = (done, len(current.units))

    def update(self, progress: Progress) -> None: ...
    def end(self, current: AnyPass, seconds: float) -> None: ...


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart corpus, built in this process; not to be changed."""
    out = tmp_path_factory.mktemp("corpus") / "quickstart"
    Build.prepare(read_recipe("quickstart"), str(out)).run(Inline(isolate=True), Notes())
    return out


@pytest.fixture(autouse=True, scope="session")
def _own_ray_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Ray would write its token to the home folder; tests leave the user's alone.
    path = tmp_path_factory.mktemp("ray") / "token"
    path.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
