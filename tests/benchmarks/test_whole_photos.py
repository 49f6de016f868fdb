"""What a larger network costs on whole photos: ratios against small truths, one real run."""

import json

import pytest
from PIL import Image

import whole_photos as bench
from hemiface.data.phantom import make as phantom
from hemiface.models import shipped


def photo(faces, **networks):
    """A photo's row; network -> ms of searching, reading and the whole."""
    parts = ("searching_ms", "reading_ms", "whole_ms")
    return {
        "faces": faces,
        "ms": {name: dict(zip(parts, ms, strict=True)) for name, ms in networks.items()},
    }


def test_ratios_are_of_the_same_photo():
    rows = [
        photo(1, large=(10, 4, 14), small=(10, 2, 12)),
        photo(3, large=(30, 9, 39), small=(24, 2, 26)),
    ]
    found = bench.summary(rows, ["large", "small"])
    assert found["large"]["reading_ms"] == {"median": 6.5, "low": 4, "high": 9, "n": 2}
    times = found["large"]["times_the_last"]
    assert (times["low"], times["high"]) == (pytest.approx(14 / 12), 1.5)
    assert found["small"]["times_the_last"] == {"median": 1, "low": 1, "high": 1, "n": 2}


@pytest.mark.usefixtures("face_networks")
def test_both_networks_read_every_photo(tmp_path, capsys):
    face = phantom.render([3], seed=0)[0]
    for name, picture in (("a.png", face), ("b.png", face[:2])):
        Image.fromarray(picture).resize((picture.shape[1] * 8, picture.shape[0] * 8)).save(
            tmp_path / name
        )
    (tmp_path / "no_photo.txt").touch()
    out = tmp_path / "out.json"
    assert bench.main([str(tmp_path), "--repeats", "1", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [one["photo"] for one in found["photos"]] == ["a.png", "b.png"]
    assert [one["faces"] for one in found["photos"]] == [1, 0]
    names = [shipped.default_model(), shipped.default_model(in_videos=True)]
    assert list(found["over_photos_with_faces"]) == names
    for one in found["photos"][0]["ms"].values():
        assert one["whole_ms"] == pytest.approx(one["searching_ms"] + one["reading_ms"])
        assert min(one.values()) > 0
    assert "1 photos with 1 faces" in capsys.readouterr().out


def test_a_folder_without_photos_is_named(tmp_path, capsys):
    assert bench.main([str(tmp_path)]) == 2
    assert "holds no photos" in capsys.readouterr().err
