"""What `hemiface information` writes: tables and figures of bits, and words about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hemiface.report.figures.style import save
from hemiface.report.results import (
    claim_for,
    information_tables,
    table_files,
    write_tables,
)
from hemiface.report.words.information import information_figures, information_words
from hemiface.report.words.scores import warnings
from hemiface.stats.information import MIXES, Bits, seeds_left_out
from hemiface.stats.sample import Sample
from hemiface.stats.sides import has_sides
from hemiface.stats.voters import voters

__all__ = ["Informed", "write_information"]


@dataclass(frozen=True, eq=False)
class Informed:
    """What was computed and where it lies: tables by file name, sentences, all paths."""

    tables: Mapping[str, pd.DataFrame]
    words: Sequence[str]
    paths: Sequence[Path]


def write_information(sample: Sample, folder: Path, votes: pd.DataFrame | None = None) -> Informed:
    """Write information, decomposition, shapley and sensitivity .csv and figures/ into the folder.

    voters.csv is written with people's `votes` (see `stats.voters`).

    Raises:
        UsageError: as `stats.information.information`, `voters` and `results.claim_for`.
    """
    tables = information_tables(sample)
    if votes is not None:
        tables["voters"] = voters(sample, votes)
    claim_for("information", folder, table_files(tables, folder))
    paths = write_tables(tables, folder)
    for name, figure in information_figures(tables).items():
        paths += save(figure, folder / "figures", name)
    words = [*information_words(tables, sample.options.level), *_doubts(sample)]
    return Informed(tables, words, paths)


def _doubts(sample: Sample) -> list[str]:
    """Return what stands against the bits: temperatures that aren't sure, sides and flips."""
    found = [
        f"{one.removesuffix('.')} (mix {mix})."
        for mix in MIXES
        for one in Bits.of_sample(sample, mix).doubts
    ]
    sided = has_sides(sample.conditions)
    found += seeds_left_out(sample)
    return [*found, *(warnings(sample.whole.models, sample.names["model"]) if sided else ())]
