"""LiteRT: what it says at its start."""

import subprocess
import sys

import pytest

NETWORKS = pytest.mark.usefixtures("face_networks")


@NETWORKS
def test_what_litert_says_at_its_start_is_kept_away_and_nothing_else():
    code = (
        "import sys\n"
        "from hemiface.vision.finding.crop_landmarks import default_detector\n"
        "from hemiface.vision.finding.litert import quiet_start\n"
        "print('before', file=sys.stderr)\n"
        "with quiet_start():\n"
        "    default_detector()\n"
        "print('after', file=sys.stderr)\n"
    )
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert quiet.stderr == "before\nafter\n"
