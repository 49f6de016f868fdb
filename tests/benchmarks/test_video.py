"""The video benchmark: its clip, what it notes while it watches, and the growth of memory."""

import sys

import pytest

from builders import linear_model

pytest.importorskip("av", reason="videos need hemiface[video]")

import video as bench


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.usefixtures("face_networks")
def test_a_clip_is_watched_with_and_without_a_blurred_copy(shared_data, tmp_path):
    model = str(linear_model(tmp_path / "linear.onnx"))
    clip = tmp_path / "clip.mp4"
    bench.make_clip(clip, 101, shared_data / "photos/justin.jpg")
    plain = bench.watch(clip, model, 50, None, blur=False)
    assert (plain["frames"], plain["faces"]) == (101, 101)
    ((frames, mib),) = plain["memory_mib"]
    assert frames == 100
    assert 20 < mib < 20_000
    blurred = bench.watch(clip, model, 10, 12, blur=True)
    assert (blurred["frames"], blurred["faces"]) == (12, 12)


def test_growth_is_that_of_the_later_part_and_unknown_of_a_short_one():
    later = [[100 * n, 200 + n / 10] for n in range(1, 101)]
    memory = [[100, 500.0], *later[1:]]
    # 0.1 MiB per 100 frames, and an hour has 90,000.
    assert bench.growth_mib(memory) == pytest.approx(90, abs=0.01)
    assert bench.growth_mib(later[:10]) is None
    assert bench.growth_mib([]) is None
