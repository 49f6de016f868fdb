"""The tables and the page of predictions that outgrow memory, from counts alone.

The tables are those of `report.results` that counts give, by the same functions and names; what
isn't among them the page says (`stats.large.sample.GAPS`). It has the scores and no figure.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd

import hemiface
from hemiface.config import StatisticsOptions
from hemiface.data.parts import Parts
from hemiface.errors import UsageError
from hemiface.files import write_text
from hemiface.report.page import (
    claim,
    linked,
    page_path,
    remove_pictures,
    split_table,
    template,
)
from hemiface.report.page_tables import drop_table, score_table
from hemiface.report.results import (
    Compared,
    claim_for,
    confusions,
    headline,
    read_recipe,
    table_files,
    tell_of_others,
    write_tables,
)
from hemiface.report.words import texts
from hemiface.report.words.costs import half_words, summary_table
from hemiface.report.words.scores import warnings
from hemiface.stats import matrix
from hemiface.stats.all_pairs import all_pairs, cochran, mcnemar
from hemiface.stats.confusion_shifts import confusion_shifts
from hemiface.stats.large.buckets import BLOCKS
from hemiface.stats.large.sample import GAPS, LARGE_METRICS, CountedSample, counted
from hemiface.stats.metrics import PROTOCOLS, require_protocol
from hemiface.stats.planned import planned
from hemiface.stats.sample import Progress

__all__ = ["build", "compare", "tables_of"]


def build(
    parts: Parts,
    out: str | Path | None = None,
    progress: Progress | None = None,
    *,
    pictures: bool = True,
) -> Path:
    """Write the tables and the page of predictions in parts; return the page's path.

    Tables: matrix, class_scores, confusions, planned, all_pairs, mcnemar, cochran, and
    confusion_shifts where whole faces are there. `out` as in `page.build`; config.toml beside the
    parts says how intervals are made. It shows no faces; with `pictures` false those of an earlier
    report are removed from figures/.

    Raises:
        DamagedError: the parts are damaged or no valid table.
        UsageError: no image of the test split was scored, or a table would take the place of one
            that no report wrote.
    """
    folder = parts.where.parent
    page = page_path(folder, out)
    settings, _ = read_recipe(folder)
    options = settings.statistics if settings else None
    with counted(parts, tuple(PROTOCOLS), options, progress) as every:
        samples = {name: one for name, one in every.items() if one.cells}
        tables = tables_of(samples)
        claim(page, tables)
        write_tables(tables, page.parent)
        text = _render(parts, samples, tables)
    if not pictures:
        remove_pictures(page)
    write_text(page, linked(text, page.parent))
    tell_of_others(tables, page.parent)
    return page


def tables_of(samples: Mapping[str, CountedSample]) -> dict[str, pd.DataFrame]:
    """Return the report's tables of the protocols that have images.

    Raises:
        UsageError: none has.
    """
    if not {"standard", "paper"} & set(samples):
        raise UsageError(
            "The predictions hold no image of the test split, so there is nothing to report; "
            "evaluate with --split test."
        )
    primary = _primary(samples)
    tables = {
        "matrix": _joined(matrix.matrix(one, LARGE_METRICS) for one in samples.values()),
        "class_scores": _joined(matrix.class_scores(one) for one in samples.values()),
        "confusions": _joined(map(confusions, samples.values())),
        "planned": planned(primary),
    }
    return tables | _compared(primary)


def compare(
    parts: Parts,
    folder: Path,
    protocol: str,
    options: StatisticsOptions | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Write the tables of every comparison that counts give; as `results.compare`.

    Raises:
        DamagedError: the parts are damaged or no valid table.
        UsageError: as `all_pairs` and `results.claim_for`, or there is no such protocol.
    """
    require_protocol(protocol)
    with counted(parts, [protocol], options, progress) as samples:
        tables = _compared(samples[protocol])
    claim_for("compare", folder, table_files(tables, folder))
    return Compared(tables, write_tables(tables, folder), headline(tables["all_pairs"]))


def _primary(samples: Mapping[str, CountedSample]) -> CountedSample:
    return samples["standard"] if "standard" in samples else samples["paper"]


def _joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(tables), ignore_index=True)


def _compared(sample: CountedSample) -> dict[str, pd.DataFrame]:
    found = {"all_pairs": all_pairs(sample), "mcnemar": mcnemar(sample), "cochran": cochran(sample)}
    if "full" in sample.conditions and len(sample.conditions) > 1:
        found["confusion_shifts"] = confusion_shifts(sample)
    return found


def _render(
    parts: Parts, samples: Mapping[str, CountedSample], tables: Mapping[str, pd.DataFrame]
) -> str:
    """Return the page."""
    primary = _primary(samples)
    shown = tables["matrix"]
    level = primary.options.level
    copy = texts.with_article(texts.copy_word(parts.facts))
    datasets = list(primary.dealt.datasets)
    return template("large.html.j2").render(
        title=texts.title(datasets),
        name=parts.where.resolve().name,
        rows=f"{len(parts):,}",
        files=f"{len(parts.parts):,}",
        images=f"{int(primary.support.sum()):,}",
        resampled=_resampled(primary),
        gaps=[*GAPS, *primary.whole.gaps],
        warnings=[
            *texts.pooled(datasets),
            *warnings(primary.whole.models, primary.names["model"]),
        ],
        halves=half_words(tables["planned"], level),
        summary=summary_table(tables["planned"], level),
        scores=[
            table
            for name in samples
            if name != "leak-free"
            for table in split_table(shown, partial(score_table, copy=copy), name)
        ],
        drops=split_table(shown, drop_table, primary.protocol),
        tables=[f"{name}.csv" for name in tables],
        version=hemiface.__version__,
    )


def _resampled(sample: CountedSample) -> str:
    """Return the sentence on what intervals resample."""
    resampled = (
        f"the {sample.group_count:,} groups"
        if sample.dealt.groups is not None
        else f"{BLOCKS:,} random blocks of groups (Wolter 2007, ch. 2)"
    )
    return (
        f"Intervals resample {resampled}; those of areas under curves are of first order (DeLong "
        "et al. 1988)."
    )
