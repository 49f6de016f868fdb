"""People beside the model: which tiles people need, and how alike the two maps are.

The data is that of Wegrzyn, Vogt, Kireclioglu, Schneider & Kissler 2017, Mapping the emotional
face: how individual face parts contribute to successful emotion recognition, PLOS ONE 12(5)
e0177239. It is not shipped: the user names a folder with `wegrzyn2017_tile_weights.csv` (published
maps: face f or m, emotion, tiles 0..47, per cent above or below the mean) and
`wegrzyn2017_trials.csv` (94 participants; the tiles uncovered when they answered).

The tiles lie over one woman's and one man's face there and over crops of many faces here, so tile
against tile holds nearly, not exactly, the same part of the face: see `placement`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.occlusion.tiles import TILES
from hemiface.stats.importance.game import GROUPED, VALUE_FUNCTIONS
from hemiface.stats.importance.likeness import (
    baselines,
    own_and_others,
    partial_rank_correlation,
    permutation_p,
    rank_correlation,
    torus_p,
    within_distance,
)
from hemiface.stats.importance.placement import (
    PLACEMENTS,
    Laid,
    best_permutation_p,
    best_torus_p,
    own_minus_others,
)
from hemiface.stats.importance.regions import intervals
from hemiface.stats.importance.tiles import TileMaps, tile_regions
from hemiface.stats.inference import infer
from hemiface.stats.sample import group_weights
from hemiface.stats.significance import holm
from hemiface.tables import EMOTIONS, read_csv

__all__ = [
    "PEOPLE_COLUMNS",
    "PEOPLE_HALVES_COLUMNS",
    "PLACEMENT_COLUMNS",
    "People",
    "noise_ceiling",
    "people_halves",
    "people_table",
    "placements",
    "read",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WEIGHTS_FILE = "wegrzyn2017_tile_weights.csv"
TRIALS_FILE = "wegrzyn2017_trials.csv"
PEOPLE_COLUMNS = ("model", "seed", "emotion", "measure", "value", "low", "high", "n")
PEOPLE_HALVES_COLUMNS = ("emotion", "percent", "low", "high", "p", "p_holm", "n", "method")
PLACEMENT_COLUMNS = (
    "model",
    "seed",
    "people",
    "width",
    "height",
    "down",
    "tiles",
    "correlation",
    "partial",
    "own_minus_others",
)

_NAMES = {
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "fea": "fear",
    "dis": "disgust",
    "sup": "surprise",
    "ntr": "neutral",
}
# Column e of the trials counts in this order: a trial is a hit exactly where button is this name.
_CODES = tuple(_NAMES)
_SPLITS = 200
_HINT = "name the folder that holds it"


@dataclass(frozen=True, eq=False)
class People:
    """What was read: `published` float64 [2, 7, 48], `sums` [participants, 7, 48], `hits` [.., 7].

    `published` is face (f, m), EMOTIONS, tile. A participant's `sums` add up, over correct trials,
    1 / (number of uncovered tiles) for each uncovered tile; `hits` counts these trials.
    """

    published: Floats
    sums: Floats
    hits: Floats

    def maps(self, weights: Floats | None = None) -> Floats:
        """Return [7, 48], per cent above what every tile would have by chance.

        `weights` float64 [participants] says how often each participant counts.
        """
        chosen = np.ones(len(self.sums)) if weights is None else weights
        total = np.tensordot(chosen, self.sums, axes=1)
        counts = chosen @ self.hits
        result: Floats = 100 * (TILES * total / np.maximum(counts, 1)[:, None] - 1)
        return result


def read(folder: str | Path) -> People:
    """Read the two files.

    Raises:
        UsageError: a file is named, not the folder of both.
        DamagedError: a file is missing or is not what it should be.

    """
    if Path(folder).is_file():
        raise UsageError(
            f"{folder} is a file; name the folder that holds {WEIGHTS_FILE} and {TRIALS_FILE}."
        )
    return People(_published(Path(folder) / WEIGHTS_FILE), *_trials(Path(folder) / TRIALS_FILE))


def noise_ceiling(people: People, *, splits: int = _SPLITS, seed: int = 0) -> tuple[Floats, Floats]:
    """Return the reliability of people's maps and the ceiling it sets: both [8], as GROUPED.

    Participants are split at random into halves, the halves' maps are rank-correlated, and the
    mean over `splits` is corrected to the full number (Spearman-Brown: 2 r / (1 + r)). A map
    without any noise can be expected to correlate with people's at most by the square root of that
    reliability (Spearman 1904, correction for attenuation; for ranks an approximation).
    """
    rng = np.random.default_rng(seed)
    size = len(people.sums)
    found = []
    for _ in range(splits):
        first = (rng.permutation(size) < size // 2).astype(np.float64)
        halves = [_with_all(people.maps(some)) for some in (first, 1 - first)]
        found.append(rank_correlation(*halves))
    r = np.mean(found, axis=0)
    reliability = 2 * r / (1 + r)
    return reliability, np.sqrt(np.maximum(reliability, 0))


def people_table(
    maps: list[TileMaps],
    people: People,
    options: StatisticsOptions | None = None,
    value_function: str = "probability",
    faces: npt.NDArray[np.uint8] | None = None,
) -> pd.DataFrame:
    """Return how alike the models' tile maps and people's are: columns PEOPLE_COLUMNS.

    Every measure with a `_published` (the published map, mean of both faces) and a `_trials` (the
    map made of the trials), over the model's 48 Shapley values; intervals are over the model's
    images alone (see `likeness` for what each means):

    - `correlation`: Spearman's rank correlation. The rows of the models `centre` and, with `faces`
      (uint8 [n, height, width], what the model saw), `contrast` and `mean face` are those of maps
      that know nothing of emotions.
    - `partial`: the same with the distance from the centre held constant, `partial_all` with all
      three such maps (with `faces` only); `within_distance`: among tiles equally far from it.
    - `torus_p`: p by all shifts of the map, for each emotion and for the mean map.
    - `others`: the mean correlation with people's maps of the six other emotions, and
      `own_minus_others`; `permutation_p`, of `all` only, says how often exchanged emotions do as
      well. `all` is the mean over emotions here.

    - `best_correlation` and `best_own_minus_others`: in the best of all ways to lay people's
      stimuli over the crops (`placement`), of `all` only; the interval keeps that way. Beside them
      `best_torus_p` and `best_permutation_p`, whose shifted maps and exchanged emotions choose
      their best way too.

    `reliability` and `ceiling` of people's maps: see `noise_ceiling`. `upper_minus_lower` of the
    model is the difference of the halves in the value function's unit; `upper_minus_lower_percent`
    of `people` (from the trials, interval over participants) and of `people-f`, `people-m`
    (published, per face) is the mean over upper minus that over lower tiles in per cent of the mean
    tile. Elsewhere emotion `all` is the mean of the seven maps, each emotion weighing the same. `n`
    counts tiles, participants or images.
    """
    options = options or StatisticsOptions()
    targets = _targets(people)
    laid = {name: Laid.of(target[:-1]) for name, target in targets.items()}
    blind = baselines(faces)
    found = [
        *_of_models(maps, targets, laid, VALUE_FUNCTIONS.index(value_function), blind),
        *_of_baselines(blind, targets, laid),
        *_of_people(people, options),
    ]
    rows = [row for one in found for row in one.rows(options.level)]
    return pd.DataFrame(rows, columns=list(PEOPLE_COLUMNS))


def people_halves(people: People, options: StatisticsOptions | None = None) -> pd.DataFrame:
    """Return how much more people need the upper half's tiles than the lower's.

    Columns PEOPLE_HALVES_COLUMNS, a row for each emotion and for `all` (each emotion alike):
    `percent` is the mean weight of upper minus that of lower tiles, in per cent of the mean tile,
    made of the trials; the interval and p are over participants (`n`), Holm's correction over the
    seven emotions. Left and right aren't asked: one woman's and one man's face can't tell.
    """
    options = options or StatisticsOptions()
    scores = _upper_minus_lower(people, options)
    found = infer([scores.T[:, None]], len(people.sums), options)
    rows = [
        {"emotion": emotion, **found.row(place), "n": len(people.sums)}
        for place, emotion in enumerate(GROUPED)
    ]
    table = pd.DataFrame(rows).rename(columns={"difference": "percent"})
    every = table["emotion"] == GROUPED[-1]
    table["p_holm"] = table["p"].where(every, holm(table["p"].where(~every)))
    return table[list(PEOPLE_HALVES_COLUMNS)]


def _upper_minus_lower(people: People, options: StatisticsOptions) -> Floats:
    """Return [1 + draws, 8] in per cent of the mean tile: all participants, then drawn ones."""
    contrast = tile_regions()["upper - lower"] / (TILES // 2)
    size = len(people.sums)
    drawn = group_weights(size, options.draws, options.seed).T.astype(np.float64)
    return np.stack([_with_all(people.maps(one)) @ contrast for one in [np.ones(size), *drawn]])


def placements(
    maps: list[TileMaps],
    people: People,
    value_function: str = "probability",
    faces: npt.NDArray[np.uint8] | None = None,
) -> pd.DataFrame:
    """Return how alike maps are in every way to lay people's stimuli over the crops.

    Columns PLACEMENT_COLUMNS, a row for each model and map that knows nothing of emotions, people's
    map (`published` or `trials`) and placement: `width`, `height` and `down` in crops, the `tiles`
    that the stimulus covers, the rank `correlation` of the mean maps, the same with the distance
    from the middle constant, and `own_minus_others`. Arguments as for `people_table`.
    """
    blind = baselines(faces)
    which = VALUE_FUNCTIONS.index(value_function)
    known = [((one.model, one.seed), one.values[0, :-1, which]) for one in maps]
    known += [((name, "mean"), map_[None]) for name, map_ in blind.items()]
    rows = []
    for name, target in _targets(people).items():
        laid = Laid.of(target[:-1])
        for (model, seed), values in known:
            mean = values.mean(axis=0)
            none = np.full(len(PLACEMENTS), np.nan)
            columns = zip(
                PLACEMENTS,
                (int(some.sum()) for some in laid.seen),
                laid.correlations(mean),
                none if model == "centre" else laid.partial(mean, blind["centre"][None]),
                none if len(values) == 1 else own_minus_others(laid.crossed(values)),
                strict=True,
            )
            for one, *found in columns:
                rows.append((model, seed, name, one.width, one.height, one.down, *found))
    return pd.DataFrame(rows, columns=list(PLACEMENT_COLUMNS))


def _targets(people: People) -> dict[str, Floats]:
    """Return people's maps [8, 48], published and made of the trials."""
    return {
        "published": _with_all(people.published.mean(axis=0)),
        "trials": _with_all(people.maps()),
    }


@dataclass(frozen=True, eq=False)
class _Measured:
    """A measure of one model or of people: scores [1 + draws, 8] as GROUPED, bearing and n [8].

    Without what bears on it (`Scale.bearing`) there is no interval.
    """

    who: tuple[str, str]
    measure: str
    scores: Floats
    bearing: Floats | None
    n: Ints

    def rows(self, level: float) -> Iterator[dict[str, object]]:
        """Yield a row of PEOPLE_COLUMNS for each emotion and for all."""
        ends = np.full((2, len(GROUPED)), np.nan)
        if self.bearing is not None:
            ends = np.stack(intervals(self.scores[1:], self.bearing, level))
        for place, emotion in enumerate(GROUPED):
            yield {
                "model": self.who[0],
                "seed": self.who[1],
                "emotion": emotion,
                "measure": self.measure,
                "value": self.scores[0, place],
                "low": ends[0, place],
                "high": ends[1, place],
                "n": int(self.n[place]),
            }


def _of_models(
    maps: Iterable[TileMaps],
    targets: Mapping[str, Floats],
    laid: Mapping[str, Laid],
    value_function: int,
    blind: Mapping[str, Floats],
) -> Iterator[_Measured]:
    """Yield how alike each model's maps and people's [8, 48] are, and the models' halves."""
    difference, tiles = tile_regions()["upper - lower"], np.full(len(GROUPED), TILES)
    for one in maps:
        values = one.values[:, :-1, value_function]
        values = np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)
        who, bearing = (one.model, one.seed), one.scale.bearing
        for name, target in targets.items():
            found = _likeness(values, target, blind) | _best(values[:, :-1], laid[name])
            for measure, scores in found.items():
                # A p is of the map itself; its draws say nothing.
                own = None if measure.endswith("_p") else bearing
                yield _Measured(who, f"{measure}_{name}", scores, own, tiles)
        yield _Measured(who, "upper_minus_lower", values @ difference, bearing, one.scale.images)


def _likeness(values: Floats, target: Floats, blind: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return each measure as scores [1 + draws, 8], of p only the first."""
    found = {
        "correlation": rank_correlation(values, target),
        "partial": partial_rank_correlation(values, target, blind["centre"][None]),
        "within_distance": within_distance(values, target),
    }
    if len(blind) > 1:
        every = np.stack(list(blind.values()))
        found["partial_all"] = partial_rank_correlation(values, target, every)
    pairs = zip(values[0], target, strict=True)
    found["torus_p"] = np.array([[torus_p(ours, theirs) for ours, theirs in pairs]])
    own, others = (_and_mean(part) for part in own_and_others(values[:, :-1], target[:-1]))
    found |= {"others": others, "own_minus_others": own - others}
    exchanged = permutation_p(values[0, :-1], target[:-1])
    return found | {"permutation_p": _only_all(np.array([exchanged]))}


def _best(values: Floats, laid: Laid) -> dict[str, Floats]:
    """Return what the best placement gives, scores [1 + draws, 8] of all emotions together.

    values: [1 + draws, 7, 48], the sample first, whose best placement the draws keep.
    """
    means = laid.correlations(values.mean(axis=1))
    apart = laid.crossed(values[0])
    best, chosen = int(np.argmax(means[:, 0])), own_minus_others(apart)
    where = int(np.argmax(chosen))
    some = laid.seen[where]
    drawn = rank_correlation(values[:, :, None, some], laid.maps[where])
    return {
        "best_correlation": _only_all(means[best]),
        "best_torus_p": _only_all(np.array([best_torus_p(values[0].mean(axis=0), laid)])),
        "best_own_minus_others": _only_all(own_minus_others(drawn)),
        "best_permutation_p": _only_all(np.array([best_permutation_p(apart)])),
    }


def _only_all(scores: Floats) -> Floats:
    """Return [..., 8] from [...]: of all emotions together, and of none alone."""
    found = np.full((*scores.shape, len(GROUPED)), np.nan)
    found[..., -1] = scores
    return found


def _of_baselines(
    blind: Mapping[str, Floats], targets: Mapping[str, Floats], laid: Mapping[str, Laid]
) -> Iterator[_Measured]:
    """Yield how alike maps that know nothing of emotions and people's are."""
    tiles = np.full(len(GROUPED), TILES)
    for name, map_ in blind.items():
        for which, target in targets.items():
            scores = rank_correlation(map_, target)[None]
            yield _Measured((name, "mean"), f"correlation_{which}", scores, None, tiles)
            best = _only_all(laid[which].correlations(map_).max(axis=0)[None])
            yield _Measured((name, "mean"), f"best_correlation_{which}", best, None, tiles)


def _and_mean(scores: Floats) -> Floats:
    """Return [..., 8] from [..., 7]: the emotions, then their mean."""
    return np.concatenate([scores, scores.mean(axis=-1, keepdims=True)], axis=-1)


def _of_people(people: People, options: StatisticsOptions) -> Iterator[_Measured]:
    """Yield how reliable people's maps are, and their halves."""
    who, size = ("people", "mean"), len(people.sums)
    everyone = np.full(len(GROUPED), size)
    noise = noise_ceiling(people, seed=options.seed)
    for measure, scores in zip(("reliability", "ceiling"), noise, strict=True):
        yield _Measured(who, measure, scores[None], None, everyone)
    contrast = tile_regions()["upper - lower"] / (TILES // 2)
    scores = _upper_minus_lower(people, options)
    yield _Measured(who, "upper_minus_lower_percent", scores, everyone, everyone)
    for face, map_ in zip(("f", "m"), people.published, strict=True):
        scores = (_with_all(map_) @ contrast)[None]
        face_of = (f"people-{face}", "mean")
        yield _Measured(face_of, "upper_minus_lower_percent", scores, None, everyone)


def _with_all(maps: Floats) -> Floats:
    """Return [8, 48]: seven maps, then their mean, as GROUPED ends with all emotions."""
    return np.concatenate([maps, maps.mean(axis=-2, keepdims=True)], axis=-2)


def _published(path: Path) -> Floats:
    table = read_csv(path, _HINT, index_col=[0, 1])
    found = np.full((2, len(EMOTIONS), TILES), np.nan)
    with suppress(TypeError, ValueError):  # What is no number leaves its cells unknown.
        if table.shape[1] == TILES:
            for (face, short), row in zip(table.index, table.to_numpy(np.float64), strict=True):
                if face in ("f", "m") and short in _NAMES:
                    found["fm".index(face), EMOTIONS.index(_NAMES[short])] = row
    if np.isnan(found).any():
        raise DamagedError(
            f"{path} doesn't hold 48 tiles for two faces and seven emotions; get it again."
        )
    return found


def _trials(path: Path) -> tuple[Floats, Floats]:
    table = read_csv(path, _HINT, dtype={"participant": str, "maskList": str})
    missing = {"participant", "e", "button", "evaluation", "maskList"} - set(table.columns)
    if missing:
        raise DamagedError(f"{path}: missing column {', '.join(sorted(missing))}; get it again.")
    try:
        return _summed(path, table)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path} isn't what it should be ({first_line(error)}); get it again."
        ) from error


def _summed(path: Path, table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return what tiles were worth and how many hits there are, by participant and emotion."""
    if table.empty:
        raise DamagedError(f"{path} has no trials; get it again.")
    emotion = table["e"].to_numpy(np.int64)
    if emotion.min() < 0:
        raise IndexError(f"emotion {emotion.min()}")
    shown = np.array(_CODES)[emotion]
    hit = (table["evaluation"] == "HIT").to_numpy(bool)
    if not np.array_equal(hit, shown == table["button"].to_numpy()):
        raise DamagedError(f"{path}: hits are not where button names emotion e; get it again.")
    people, names = pd.factorize(table["participant"], sort=True)
    emotions = np.array([EMOTIONS.index(_NAMES[short]) for short in shown])
    sums = np.zeros((len(names), len(EMOTIONS), TILES))
    hits = np.zeros((len(names), len(EMOTIONS)))
    for row in np.flatnonzero(hit):
        tiles = [int(tile) for tile in table["maskList"].iloc[row].split("-")]
        if not 0 <= min(tiles) <= max(tiles) < TILES:
            raise IndexError(f"tile {min(tiles)} to {max(tiles)}")
        sums[people[row], emotions[row], tiles] += 1 / len(tiles)
        hits[people[row], emotions[row]] += 1
    return sums, hits
