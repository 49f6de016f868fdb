"""Studies in jobs (`fanout_cases`), in an interpreter of its own.

The cases fork, and torch refuses to train in a forked process as soon as anything before, such as
an export, has begun its threads.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CASES = Path(__file__).with_name("fanout_cases.py")


@pytest.mark.timeout(900)
def test_all_cases(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="a study needs hemiface[train]")
    alone = {name: one for name, one in os.environ.items() if not name.startswith("PYTEST_")}
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "cases")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(CASES)], cwd=CASES.parents[1], env=alone,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
