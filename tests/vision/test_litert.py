"""LiteRT: what it says at its start."""

import subprocess
import sys

import pytest

NETWORKS = pytest.mark.usefixtures("face_networks")


def of_a_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@NETWORKS
def test_what_litert_says_at_its_start_is_kept_away_and_nothing_else():
    code = (
        "import os, sys\n"
        "from hemiface.vision.finding import litert\n"
        "from hemiface.vision.finding.crop_landmarks import default_detector\n"
        "print('before', file=sys.stderr)\n"
        "make = litert._made\n"
        "def noisy(first):\n"
        "    def made():\n"
        "        os.write(2, b'meanwhile\\n')\n"
        "        return first()\n"
        "    return make(made)\n"
        "litert._made = noisy\n"
        "default_detector()\n"
        "print('after', file=sys.stderr)\n"
    )
    # Two networks, one interpreter each.
    assert of_a_process(code).stderr == "before\nmeanwhile\nmeanwhile\nafter\n"


@NETWORKS
def test_standard_error_may_be_closed():
    code = (
        "import os\n"
        "os.close(2)\n"
        "from hemiface.vision.finding.crop_landmarks import default_detector\n"
        "default_detector()\n"
        "print('found')\n"
    )
    assert of_a_process(code).stdout == "found\n"
