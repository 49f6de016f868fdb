"""The container's recipe: what it copies and runs is there, without root. Nothing is built here."""

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from hemiface import cli

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.sub(r"\\\n\s*", "", RECIPE).splitlines()


def step(name: str) -> str:
    return next(line.removeprefix(name).strip() for line in STEPS if line.startswith(f"{name} "))


def test_it_runs_without_root_and_after_everything_that_needs_it():
    user = STEPS.index(f"USER {step('USER')}")
    assert int(step("USER")) > 0
    assert f"--uid {step('USER')}" in RECIPE
    assert all(not line.startswith(("RUN", "COPY")) for line in STEPS[user:])


def test_what_it_runs_is_a_command():
    program, command, *words = json.loads(step("ENTRYPOINT"))
    assert program == "hemiface"
    shown = CliRunner().invoke(cli.app, [command, "--help"]).output
    assert [word for word in words if word.startswith("--") and word not in shown] == []
    port = words[words.index("--port") + 1]
    assert step("EXPOSE") == port
    assert f":{port}/health" in step("HEALTHCHECK")


def test_what_it_copies_is_let_in():
    *sources, _ = step("COPY").split()
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_in[0] == "*"
    assert {f"!{one}" for one in sources} == set(let_in[1:])
    assert (ROOT / "constraints/serve.txt").is_file()
