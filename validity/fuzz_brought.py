"""Files that users bring: pictures, tables, folders, configs, videos."""

import io
import os
import zipfile
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

import numpy as np

from fuzz_targets import Target, each, faces
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS

__all__ = ["csv_files", "folders", "pictures", "toml", "videos"]

_FRAMES = 100
_MARK = b"\x1eFILE:"


def pictures(folder: Path) -> Target:
    """Photos in every format that Pillow writes here, in grey, colour, palettes, with EXIF."""
    from PIL import Image

    from hemiface.data.pictures import read_picture
    from hemiface.vision.photos import read_photo

    grey = Image.fromarray(faces(1)[0])
    colour = Image.merge("RGB", [Image.fromarray(one) for one in faces(3)])
    clear = colour.copy()
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a face"
    wide = Image.fromarray(faces(1)[0].astype(np.uint16) * 257)
    seeds = []
    for picture, form, options in (
        (grey, "PNG", {}), (clear, "PNG", {"exif": exif}), (wide, "PNG", {}),
        (colour.quantize(16), "PNG", {}), (colour, "JPEG", {"exif": exif, "quality": 80}),
        (colour, "JPEG", {"progressive": True}), (colour.convert("CMYK"), "JPEG", {}),
        (grey, "GIF", {"save_all": True, "append_images": [grey]}), (colour, "BMP", {}),
        (colour, "WEBP", {"lossless": True}), (clear, "TIFF", {"compression": "tiff_lzw"}),
        (wide, "TIFF", {}), (colour, "TIFF", {"compression": "jpeg"}), (colour, "PPM", {}),
        (clear, "TGA", {"compression": "tga_rle"}), (grey, "PCX", {}), (colour, "JPEG2000", {}),
        (colour, "AVIF", {}),
    ):  # fmt: skip
        content = io.BytesIO()
        # Not every Pillow writes all of them.
        with suppress(KeyError, OSError):
            picture.save(content, form, **options)
            seeds.append(content.getvalue())
    path = folder / "face.png"

    def look(content: bytes) -> None:
        path.write_bytes(content)
        read_picture(path)
        read_photo(path)

    words = (
        b"\x89PNG\r\n\x1a\n", b"IHDR", b"IDAT", b"PLTE", b"eXIf", b"acTL", b"\xff\xd8\xff",
        b"\xff\xc0", b"\xff\xda", b"Exif\0\0", b"GIF89a", b"\x2c", b"RIFF", b"WEBP", b"VP8L",
        b"II*\0", b"MM\0*", b"BM", b"P6\n", b"P5\n", b"ftypavif",
    )  # fmt: skip
    return Target(seeds, look, words)


def csv_files(folder: Path) -> Target:
    """FER2013 plain and packed, FER+, lists of rows, other programs' predictions, trials."""
    import bz2
    import gzip

    from hemiface.data.ferplus import relabel
    from hemiface.data.images import Images
    from hemiface.data.outside import ImportOptions, import_predictions
    from hemiface.data.readers import load
    from hemiface.data.rows import read_rows
    from hemiface.models.class_mix import Mix
    from hemiface.tables import read_csv

    rows = ["emotion,pixels,Usage"]
    for number, face in enumerate(faces(3)):
        usage = ("Training", "PublicTest", "PrivateTest")[number]
        rows.append(f"{number},{' '.join(map(str, face.ravel()))},{usage}")
    plain = "\n".join(rows).encode() + b"\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013/fer2013.csv", plain)
    votes = b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,"
    votes += b"unknown,NF\n"
    votes += b"".join(b"%s,a.png,1,9,0,0,0,0,0,0,0,0\n" % one for one in
                      (b"Training", b"PublicTest", b"PrivateTest"))  # fmt: skip
    table = ",".join(("image", "label", "split", "group", "leaked", *PROBABILITY_COLUMNS))
    table += "".join(f"\n{n},happy,test,{n},false,0.4" + ",0.1" * 6 for n in range(3)) + "\n"
    mix = "emotion,share\n" + "".join(f"{one},{1 / 7}\n" for one in EMOTIONS)
    models = "model,name,seed,trained_on,conditions,flips,selected_on\nface,full,0,,full,true,\n"
    seeds = [
        plain, gzip.compress(plain), bz2.compress(plain), packed.getvalue(), votes,
        table.encode(), b"row\n0\n2\n", mix.encode(), models.encode(),
    ]  # fmt: skip
    path, whole = folder / "face.csv", folder / "whole.csv"
    whole.write_text(table, encoding="utf-8")
    images = Images.build(
        faces(3), labels=["happy"] * 3, splits=["train", "validation", "test"], dataset="x",
        sources=list("abc"), source_rows=[0, 1, 2], info={"rows": 3},
    )  # fmt: skip

    def look(content: bytes) -> None:
        path.write_bytes(content)
        each(
            lambda: load(path, skip_bad=True),
            lambda: load(path),
            lambda: relabel(images, path),
            lambda: read_rows(path),
            lambda: import_predictions([path], ImportOptions(dataset="x")),
            lambda: import_predictions([whole], ImportOptions(dataset="x", models=path)),
            lambda: Mix.of(path),
            lambda: read_csv(path),
        )

    words = (
        b"emotion", b"pixels", b"Usage", b",", b"\n", b"\r", b'"', b"\0", b"\xef\xbb\xbf",
        b"Training", b" 255", b"\x1f\x8b", b"PK\x03\x04", b"BZh9", b"nan", b"inf", b"\xff", b";",
        b"\t", b"happy", b"1e400", b"true", b"'" * 140_000,
    )  # fmt: skip
    return Target(seeds, look, words)


def folders(folder: Path) -> Target:
    """Class folders and folders of photos: names and contents out of one file."""
    from PIL import Image

    from hemiface.data.readers import load
    from hemiface.vision.sources import copy_names, find_sources

    seed = b""
    for split in ("train", "test"):
        for number, emotion in enumerate(EMOTIONS):
            picture = io.BytesIO()
            Image.fromarray(faces(7)[number]).save(picture, "PNG")
            seed += _MARK + f"{split}/{emotion}/im{number}.png\n".encode() + picture.getvalue()
    places = count()

    def look(content: bytes) -> None:
        place = folder / str(next(places))
        place.mkdir()
        _unpack(content, place)
        each(
            lambda: load(place, skip_bad=True),
            lambda: load(place),
            lambda: copy_names(find_sources([str(place)], place)),
        )

    words = (
        _MARK, b"train", b"test", b"validation", b"/", b"..", b"\n", b"\xff", b"\xc3\xa9",
        b"n" * 90, b".png", b".jpg", b"PublicTest_", b"happy", b"anger", b"./", b"fer2013.csv",
        b"images.parquet", b"pixels.npy", b"\x1b[31m", b"fer2013_pixels_0.png",
    )  # fmt: skip
    return Target([seed], look, words)


def _unpack(content: bytes, place: Path) -> None:
    """Make the files that bytes list, name and content, as far as they lie in `place`."""
    for part in content.split(_MARK)[1:]:
        name, _, inside = part.partition(b"\n")
        target = Path(os.path.normpath(place / os.fsdecode(name).lstrip("/")))
        if place in target.parents:
            with suppress(OSError, ValueError):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(inside)


def toml(folder: Path) -> Target:
    """Configs and mixes."""
    from hemiface import config
    from hemiface.models.class_mix import Mix

    mix = "".join(f"{one} = {1 / 7}\n" for one in EMOTIONS).encode()
    shipped = [path.read_bytes() for path in config.shipped().values()]
    seeds = [*shipped, config.to_toml(config.Config()).encode(), mix]
    path = folder / "config.toml"

    def look(content: bytes) -> None:
        path.write_bytes(content)
        setting = f"train.epochs={content[:200].decode(errors='replace')}"

        def again() -> None:
            """What is taken can be written and read again."""
            text = config.to_toml(config.load(path))
            (folder / "again.toml").write_text(text, encoding="utf-8")
            config.load(folder / "again.toml")

        each(again, lambda: Mix.of(path), lambda: config.load_as(config.Config, None, [setting]))

    words = (
        b"[", b"]", b"[[", b"=", b'"', b'"""', b"\n", b"[" * 2000, b"nan", b"-inf", b"true", b"{",
        b"a.b.c = 1", b"train", b"seeds", b"conditions", b"1979-05-27T07:32:00Z", b"0x", b"\xff",
        b"\0", b"1e400",
    )  # fmt: skip
    return Target(seeds, look, words)


def videos(folder: Path) -> Target:
    """Videos in four containers, with words about themselves."""
    import av

    from hemiface.vision.video.frames import read_frames

    seeds = []
    for suffix in (".mp4", ".mkv", ".avi", ".mpg"):
        path = folder / f"seed{suffix}"
        with av.open(str(path), "w") as container:
            container.metadata["title"] = "a face of mine"
            stream = container.add_stream(
                "mpeg1video" if suffix == ".mpg" else "mpeg4" if suffix == ".avi" else "libx264",
                rate=25,
            )
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for number in range(6):
                pixels = np.full((64, 64, 3), 40 * number, dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        seeds.append(path.read_bytes())
    path = folder / "face.mp4"

    def look(content: bytes) -> None:
        path.write_bytes(content)
        for _ in islice(read_frames(path), _FRAMES):
            pass

    words = (
        b"moov", b"mvhd", b"trak", b"tkhd", b"stsd", b"avc1", b"avcC", b"stts", b"stsc", b"stsz",
        b"stco", b"udta", b"meta", b"ilst", b"\xa9nam", b"data", b"a face", b"\xff\xfe",
        b"\x1a\x45\xdf\xa3", b"TITLE", b"RIFF", b"AVI ", b"idx1", b"\0\0\1\xb3", b"\0\0\1\0",
        b"#EXTM3U\n",
    )  # fmt: skip
    return Target(seeds, look, words)
