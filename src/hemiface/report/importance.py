"""What `hemiface importance` writes: tables and figures of regions, tiles and people, and words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.report.figures import regions as drawn
from hemiface.report.figures.style import model_label, save
from hemiface.report.results import claim_for, table_files, write_tables
from hemiface.report.words.regions import (
    importance_figures,
    left_out,
    sentences,
    shown_models,
)
from hemiface.report.words.scores import warnings
from hemiface.stats.importance import Importance, analyse
from hemiface.stats.importance.bubbles import bubble_table
from hemiface.stats.importance.people import people_table, placements
from hemiface.stats.importance.people import read as read_people
from hemiface.stats.importance.placement import PLACEMENTS
from hemiface.stats.importance.tiles import read_samples, tile_maps, tile_table
from hemiface.stats.sample import Sample
from hemiface.tables import read_table

__all__ = ["Written", "write_importance"]

_ALL = "all"
_BLIND = {
    "centre": "the distance from the middle",
    "contrast": "the tiles' contrast",
    "mean face": "the contrast of the mean face",
}


@dataclass(frozen=True, eq=False)
class Written:
    """What was computed and where it lies: tables by file name, paragraphs, all paths."""

    importance: Importance
    tables: dict[str, pd.DataFrame]
    words: list[str]
    paths: list[Path] = field(default_factory=list)


def write_importance(
    sample: Sample,
    folder: Path,
    *,
    tiles: str | Path | None = None,
    people: str | Path | None = None,
    faces: npt.NDArray[np.uint8] | None = None,
) -> Written:
    """Write importance.csv, interactions.csv and figures/ into the folder.

    fills.csv is written where several fills are complete, tiles.csv (or bubbles.csv) with a table
    of samples `tiles`, people.csv and placements.csv with the folder `people` that holds Wegrzyn's
    files. `faces`, uint8 [n, height, width], are what the network saw; with them there are two more
    baselines.

    Raises:
        DamagedError: a table is missing or damaged.
        UsageError: coalitions are missing, people are given without tiles, or as
            `results.claim_for`.

    """
    if people is not None and tiles is None:
        raise UsageError("--people needs --tiles: it is the tiles that are compared.")
    found = analyse(sample)
    tables = {"importance": found.regions, "interactions": found.interactions}
    if len(found.fills):
        tables["fills"] = found.fills
    figures = importance_figures(found.regions)
    if tiles is not None:
        more_tables, more_figures = _tiles(str(tiles), people, sample.options, faces)
        tables |= more_tables
        figures |= more_figures
    claim_for("importance", folder, table_files(tables, folder))
    paths = write_tables(tables, folder)
    for name, figure in figures.items():
        paths += save(figure, folder / "figures", name)
    words = [
        *sentences(found, sample.options.level),
        *(left_out(tables["tiles"], "tiles.csv") if "tiles" in tables else ()),
        *_people(tables),
        *warnings(sample.whole.models, list(sample.names["model"])),
    ]
    return Written(found, tables, words, paths)


def _people(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say how alike the tiles of people and of each model that is shown are."""
    if "people" not in tables:
        return []
    rows = tables["people"]
    rows = rows[(rows["seed"] == "mean") & (rows["emotion"] == _ALL)]
    known = {(str(row["model"]), str(row["measure"])): row for row in rows.to_dict("records")}
    ceiling = known["people", "ceiling"]["value"]
    return [
        *(one for model in shown_models(tables["tiles"]) for one in _likeness(known, model)),
        f"People's own scatter would let a map without noise reach about {ceiling:.2f}.",
    ]


def _likeness(known: Mapping[tuple[str, str], Mapping[Any, Any]], model: str) -> list[str]:
    """Say how alike a model's and people's tiles are, and what else explains it.

    `known` are rows of people.csv by model and measure.
    """

    def said(measure: str, which: str, who: str = model) -> str:
        row = known[who, f"{measure}_{which}"]
        ends = f" [{row['low']:.2f}, {row['high']:.2f}]" if pd.notna(row["low"]) else ""
        return f"{row['value']:.2f}{ends}".replace("-", "−")

    sentences = []
    for which, words in {"trials": "made of the trials", "published": "as published"}.items():
        p = known[model, f"torus_p_{which}"]["value"]
        exchanged = known[model, f"permutation_p_{which}"]["value"]
        sentences.append(
            f"With people's map {words} the tiles of the model {model_label(model)}, averaged over "
            f"the seven emotions, have a rank correlation of {said('correlation', which)}; a map "
            "that knows nothing but the distance from the middle has "
            f"{said('correlation', which, 'centre')}; among tiles equally far from it "
            f"{said('within_distance', which)} is left (shifted over the face, {p:.0%} of the maps "
            "agree as well). One emotion's tiles are like people's of the same emotion by "
            f"{said('own_minus_others', which)} more than like those of the others (exchanged, "
            f"{exchanged:.0%} do as well)."
        )
        blind = [
            f"{words_of} {said('best_correlation', which, who)}"
            for who, words_of in _BLIND.items()
            if (who, f"best_correlation_{which}") in known
        ]
        sentences.append(
            "Where people's stimuli lie over the crops isn't known. Laid over them in "
            f"{len(PLACEMENTS)} ways, the correlation is at best "
            f"{said('best_correlation', which)} (at their own best {', '.join(blind)}; of shifted "
            f"maps {known[model, f'best_torus_p_{which}']['value']:.0%} do as well at theirs); own "
            f"emotions are ahead of others by at most {said('best_own_minus_others', which)} "
            f"(exchanged, {known[model, f'best_permutation_p_{which}']['value']:.0%} do as well)."
        )
    return sentences


def _tiles(
    path: str,
    people: str | Path | None,
    options: StatisticsOptions,
    faces: npt.NDArray[np.uint8] | None,
) -> tuple[dict[str, pd.DataFrame], dict[str, Figure]]:
    """Return the tables and figures of a table of uncovered faces, by file name."""
    if "bubbles" in read_table(path).columns:
        if people is not None:
            raise UsageError("--people needs chains of tiles, not apertures: leave out --bubbles.")
        samples = read_samples(path, "bubbles")
        table = bubble_table(samples, options)
        return {"bubbles": table}, {}
    samples = read_samples(path, "visible")
    maps = tile_maps(samples, options)
    tables = {"tiles": tile_table(maps, options)}
    shown = shown_models(tables["tiles"])
    figures = _each("importance-tiles", shown, partial(drawn.tile_figure, tables["tiles"]))
    if people is not None:
        known = read_people(people)
        tables["people"] = people_table(maps, known, options, faces=faces)
        tables["placements"] = placements(maps, known, faces=faces)
        average = known.published.mean(axis=0)
        draw = partial(drawn.people_figure, tables["tiles"], average)
        figures |= _each("importance-people", shown, draw)
    return tables, figures


def _each(name: str, models: Sequence[str], draw: Callable[..., Figure]) -> dict[str, Figure]:
    """Return a figure of each model by file name, which has the model's where there are several."""
    return {name if len(models) == 1 else f"{name}-{model}": draw(model=model) for model in models}
