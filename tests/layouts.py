"""Published data sets as their authors laid them out, made of random pictures."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = [
    "affectnet_files",
    "affectnet_tables",
    "ckplus",
    "ckplus_crops",
    "ferplus",
    "jaffe",
    "kdef",
    "picture",
    "rafdb",
]

_SEEDS: Iterator[int] = count()


def picture(path: Path, side: int = 48, seed: int | None = None) -> Path:
    """Write a random grey picture, another one each time unless it has a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = next(_SEEDS) if seed is None else seed
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def rafdb(root: Path, *, original: bool = False) -> Path:
    """Labels 1 to 7 in train and in test; the aligned pictures, or the originals."""
    lines = []
    for split in ("train", "test"):
        for number in range(1, 8):
            stem = f"{split}_{number:05}"
            lines.append(f"{stem}.jpg {number}")
            folder, name = ("original", stem) if original else ("aligned", f"{stem}_aligned")
            picture(root / "basic/Image" / folder / f"{name}.jpg", 100)
    (root / "basic/EmoLabel").mkdir(exist_ok=True)
    (root / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return root


def affectnet_tables(root: Path) -> Path:
    """training.csv and validation.csv with all eleven numbers, and a box for each face."""
    header = (
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,"
        "valence,arousal"
    )
    for name in ("training", "validation"):
        rows = []
        for number in range(11):
            path = f"{number}/{name}{number}.jpg"
            rows.append(f"{path},10,20,30,40,1.5;2.5,{number},-2,-2")
            picture(root / "Manually_Annotated_Images" / path, 100)
        (root / f"{name}.csv").write_text("\n".join([header, *rows, ""]))
    return root


def affectnet_files(root: Path) -> Path:
    """train_set and val_set with a .npy file for each of eight labels, as text and as number."""
    for place in ("train_set", "val_set"):
        (root / place / "annotations").mkdir(parents=True)
        for number in range(8):
            label = np.array(str(number)) if number % 2 else np.array(number)
            np.save(root / place / "annotations" / f"{number}_exp.npy", label)
            np.save(root / place / "annotations" / f"{number}_val.npy", np.array("-0.5"))
            picture(root / place / "images" / f"{number}.jpg", 56)
    return root


def ckplus(root: Path) -> Path:
    """Two persons; S005: disgust, no label, contempt; S010: happy, surprise; four frames each."""
    labels = {"S005/001": 3, "S005/002": None, "S005/003": 2, "S010/001": 5, "S010/002": 7}
    for sequence, label in labels.items():
        stem = sequence.replace("/", "_")
        for frame in range(1, 5):
            picture(root / "cohn-kanade-images" / sequence / f"{stem}_{frame:08}.png", 64)
        folder = root / "Emotion" / sequence
        folder.mkdir(parents=True)
        if label is not None:
            (folder / f"{stem}_00000004_emotion.txt").write_text(f"   {label:.7e}\n")
    return root


def ckplus_crops(root: Path) -> Path:
    """CK+48: class folders of three frames of each sequence, contempt among them."""
    names = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    for number, name in enumerate(names):
        for frame in (15, 16, 17):
            picture(root / name / f"S{10 + number // 2:03}_{number + 1:03}_{frame:08}.png")
    return root


def kdef(root: Path) -> Path:
    """Two persons of the same number, two sessions, seven emotions, three angles."""
    for person in ("AF01", "BF01", "AM01"):
        for emotion in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
            for angle in ("S", "HL", "FR"):
                picture(root / person / f"{person}{emotion}{angle}.JPG", 60)
    return root


def jaffe(root: Path) -> Path:
    """Two women, seven emotions each, and the readme that lies beside them."""
    for person, start in (("KA", 1), ("YM", 100)):
        for number, emotion in enumerate(("AN", "DI", "FE", "HA", "NE", "SA", "SU")):
            picture(root / f"{person}.{emotion}1.{start + number}.tiff", 64)
    (root / "README_FIRST.txt").write_text("Ten women.")
    return root


VOTES = {
    "fer0000000.png": [4, 0, 0, 1, 3, 2, 0, 0, 0, 0],
    "fer0000001.png": [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],
    "fer0000002.png": [0, 0, 0, 0, 0, 0, 4, 5, 1, 0],
    "fer0000003.png": [1, 0, 0, 0, 0, 7, 0, 0, 2, 0],
}
"""neutral (without a majority), happy, contempt, disgust."""


def ferplus(root: Path, *, by_table: bool = False) -> Path:
    """The three folders of FER+; votes in label.csv, or in fer2013new.csv beside them."""
    rows = []
    for folder, usage in (
        ("FER2013Train", "Training"),
        ("FER2013Valid", "PublicTest"),
        ("FER2013Test", "PrivateTest"),
    ):
        lines = []
        for name, votes in VOTES.items():
            picture(root / folder / name)
            counts = ",".join(map(str, votes))
            lines.append(f'{name},"(0, 0, 48, 48)",{counts}')
            rows.append(f"{usage},{name},{counts}")
        rows.append(f"{usage},,0,0,0,0,0,0,0,0,0,10")
        if not by_table:
            (root / folder / "label.csv").write_text("\n".join(lines) + "\n")
    if by_table:
        header = (
            "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,"
            "unknown,NF"
        )
        (root / "fer2013new.csv").write_text("\n".join([header, *rows, ""]))
    return root
