"""How often the labels of a video's faces switch, before and after `predict --smooth`.

    hemiface predict CLIP.mp4 --smooth 0.5 --format parquet --out clip
    python validity/smoothing.py clip/faces.parquet --abstain-below 0.45

Takes tables that `hemiface predict` wrote of videos. From the frames' own probabilities in them it
makes the smoothed ones of several half-lives anew, by the logarithmic mean that hemiface uses and,
for comparison, by the mean of probabilities with the very same weights. Of each filter:

switches_per_s   how often what is shown of a face (a label, or that there is none) differs from
                 that in its frame before, by the seconds that the faces were there
best_per_s       the same of the most probable emotion, sure or not
unlabelled       share of the faces' frames without a label
late_s           seconds until a face that changes for good from one emotion, at 90 %, to another
                 has the new one as the most probable, by the filter alone, at 25 frames a second

Frames that show too little of a face keep no label by any filter. Nobody knows the right labels
here: fewer switches are steadier, not truer. Writes results/smoothing/switches.csv, its
config and environment beside it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiment import exit_code
from hemiface.files import sha256_file, write_json, write_text
from hemiface.inputs import require_file
from hemiface.provenance import environment
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, write_csv
from hemiface.vision.video.smoothing import Smoother
from hemiface.vision.video.tracking import STEP_S

RESULTS = Path(__file__).resolve().parents[1] / "results" / "smoothing"
HALF_LIVES_S = (0.1, 0.25, 0.5, 1.0)
SURE = 0.9
Floats = npt.NDArray[np.float64]


Filtered = dict[int, Floats]
"""Number of a face -> its probabilities [frames, 7], in the order of its rows."""
Mean = Callable[[pd.DataFrame, float], Filtered]


def main() -> None:
    """Read the tables, filter, count, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="+", type=Path, help="faces.parquet of videos")
    parser.add_argument("--abstain-below", type=float, required=True, help="the model's threshold")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    for path in options.tables:
        require_file(path)
    rows = [
        {"video": Path(video).name, **row}
        for path in options.tables
        for video, table in pd.read_parquet(path).groupby("source")
        for row in compared(table, options.abstain_below)
    ]
    result = pd.DataFrame(rows)
    write_csv(result, options.out / "switches.csv")
    settings = {"abstain_below": options.abstain_below, "half_lives_s": list(HALF_LIVES_S)}
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    write_text(options.out / "config.toml", text)
    write_json(
        options.out / "environment.json",
        {
            **environment(),
            "tables": [
                [f"{path.parent.name}/{path.name}", sha256_file(path)] for path in options.tables
            ],
        },
    )
    print(result.round(3).to_string(index=False))


def compared(table: pd.DataFrame, least: float) -> list[dict[str, object]]:
    """Return a row for each filter on one video's rows."""
    raw = {face: rows[list(PROBABILITY_COLUMNS)].to_numpy() for face, rows in table.groupby("face")}
    rows = [{"filter": "none", "half_life_s": 0.0, **counted(table, raw, least), "late_s": 0.0}]
    for half_life_s in HALF_LIVES_S:
        for name, mean in (("log mean", log_means), ("mean", means)):
            rows.append({
                "filter": name, "half_life_s": half_life_s,
                **counted(table, mean(table, half_life_s), least),
                "late_s": late_s(mean, half_life_s),
            })  # fmt: skip
    return rows


def log_means(table: pd.DataFrame, half_life_s: float) -> Filtered:
    """Return what hemiface's own filter makes of a table's rows."""
    smoother = Smoother(half_life_s)
    found: dict[int, list[tuple[float, ...]]] = {}
    for time_s, rows in table.groupby("timestamp_s"):
        own = dict(zip(rows["face"], rows[list(PROBABILITY_COLUMNS)].to_numpy(), strict=True))
        seen = {
            face: None if hidden else own[face]
            for face, hidden in zip(rows["face"], is_unseen(rows), strict=True)
        }
        smoothed = smoother.add(float(time_s), seen)
        for face, values in own.items():
            found.setdefault(face, []).append(smoothed.get(face, tuple(values)))
    return {face: np.array(values) for face, values in found.items()}


def means(table: pd.DataFrame, half_life_s: float) -> Filtered:
    """Return the means of probabilities with the weights of `log_means`."""
    names = list(PROBABILITY_COLUMNS)
    # The logarithm of exp(p) is p: the same weights, another mean, up to a constant.
    logs = log_means(table.assign(**{name: np.exp(table[name]) for name in names}), half_life_s)
    return {
        face: np.log(values) + (1 - np.log(values).sum(axis=1, keepdims=True)) / len(EMOTIONS)
        for face, values in logs.items()
    }


def is_unseen(rows: pd.DataFrame) -> list[bool]:
    """Return which rows have no label because too little of the face is seen."""
    return [bool(reason) and not reason.startswith("confidence") for reason in words(rows)]


def words(rows: pd.DataFrame) -> list[str]:
    """Return why there is no label, empty where there is one."""
    return rows["reason"].fillna("").tolist()


def counted(table: pd.DataFrame, filtered: Filtered, least: float) -> dict[str, float]:
    """Return the switches a second and the share without a label."""
    switches = best_switches = unlabelled = frames = 0
    for face, values in filtered.items():
        rows = table[table["face"] == face]
        best = values.argmax(axis=1)
        sure = (values.max(axis=1) >= least) & ~np.array(is_unseen(rows))
        shown = np.where(sure, best, -1)
        switches += int((np.diff(shown) != 0).sum())
        best_switches += int((np.diff(best) != 0).sum())
        unlabelled += int((~sure).sum())
        frames += len(rows)
    times = np.unique(table["timestamp_s"])
    seconds = frames * float(np.median(np.diff(times)))
    return {
        "face_seconds": seconds, "switches_per_s": switches / seconds,
        "best_per_s": best_switches / seconds, "unlabelled": unlabelled / frames,
    }  # fmt: skip


def late_s(mean: Mean, half_life_s: float) -> float:
    """Return how long after a step the new emotion is the most probable."""
    frames = 500
    shares = np.full((2 * frames, len(EMOTIONS)), (1 - SURE) / (len(EMOTIONS) - 1))
    shares[:frames, 0] = shares[frames:, 1] = SURE
    table = pd.DataFrame(shares, columns=list(PROBABILITY_COLUMNS)).assign(
        face=0, timestamp_s=STEP_S * np.arange(2 * frames), reason=""
    )
    best = mean(table, half_life_s)[0][frames:].argmax(axis=1)
    return STEP_S * int((best == 1).argmax())


if __name__ == "__main__":
    sys.exit(exit_code(main))
