"""What mmedc finds on a machine, what is missing, and the command that gets it."""

import json
import socket

from mmedc.report.doctor import CHECKS, _problem, as_json, examine
from tests.test_cli import mmedc


def test_what_every_build_needs_is_here() -> None:
    rows = {(row.group, row.subject): row for row in examine()}
    for key in (
        ("versions", "Python"),
        ("versions", "packages"),
        ("models", "lid"),
        ("models", "medical"),
        ("Ray", "package"),
    ):
        assert rows[key].state == "ok", rows[key]
    assert {row.group for row in rows.values()} == {"versions", "models", "Ray", "machine", "extras"} and len(
        CHECKS
    ) == 5
    assert rows["extras", "train"].state in ("ok", "optional")
    assert all(row.cure for row in rows.values() if row.state in ("missing", "optional"))
    assert as_json(list(rows.values()))["sound"]


def test_a_package_that_is_missing_or_of_another_version_is_named() -> None:
    assert _problem("no-such-package-of-mmedc>=1") == "no-such-package-of-mmedc is not installed"
    assert _problem("numpy>=99").endswith(", not >=99") and _problem("numpy>=1") == ""


def test_a_cluster_that_does_not_answer_ends_with_1() -> None:
    with socket.socket() as bound:  # bound, but nobody listens
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        done = mmedc("doctor", "--address", address)
        assert done.returncode == 1 and f"missing: {address}" in done.stdout and "is Ray up there" in done.stdout
        bound.listen()
        assert mmedc("doctor", "--address", address).returncode == 0


def test_the_json_says_whether_all_is_there() -> None:
    done = mmedc("doctor", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["sound"]
