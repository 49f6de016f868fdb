"""Paired comparisons of models and conditions: is a difference more than chance, and how large?

Three tables of a sample, each a row per comparison. `all_pairs` resamples groups (and
seeds) and says how much scores differ; `mcnemar` and `cochran` count images, as is usual.
What is compared:

- robustness: the baseline on whole faces against itself with a part hidden;
- available information: a network trained for the condition, on it, against what whole faces give:
  the specialist of that name against the baseline (or `longer`) on them, the generalist `any`
  against itself on them. What is lost here was in the hidden part; what robustness loses beyond
  it, the baseline failed to read in the visible part;
- own conditions: every two models, each on the condition that it is named after;
- models: every two models on a condition;
- conditions: every two conditions for a model.

Family of the Holm correction (`family`): the comparisons of one kind on one condition, of one model
or of all specialists, for one seed (or the mean over seeds) and one metric. Intervals and
equivalence are not corrected.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from hemiface.stats.contrasts import (
    DIFFERENCE_COLUMNS,
    PAIR_COLUMNS,
    Pair,
    corrected,
    difference_table,
    matched,
)
from hemiface.stats.inference import runs_of
from hemiface.stats.metrics import known_metrics
from hemiface.stats.sample import Cell, Progress, Sample, whole_reader
from hemiface.stats.significance import (
    cochran_q_of_sums,
    cohens_g,
    cohens_h,
    mcnemar_exact,
    mcnemar_mid,
    paired_odds_ratio,
)
from hemiface.tables import Predictions

__all__ = [
    "COCHRAN_COLUMNS",
    "COMPARED_METRICS",
    "DIFFERENCE_COLUMNS",
    "MCNEMAR_COLUMNS",
    "all_pairs",
    "cochran",
    "mcnemar",
]

COMPARED_METRICS = ("accuracy", "macro_f1", "weighted_f1", "weighted_auc")
MCNEMAR_COLUMNS = (
    *PAIR_COLUMNS,
    "n",
    "both",
    "only_a",
    "only_b",
    "neither",
    "accuracy_a",
    "accuracy_b",
    "difference",
    "p_exact",
    "p_mid",
    "p_groups",
    "p_holm",
    "odds_ratio",
    "odds_low",
    "odds_high",
    "cohens_g",
    "cohens_h",
)
COCHRAN_COLUMNS = ("kind", "family", "seed", "compared", "k", "n", "q", "df", "p", "p_holm")


def all_pairs(
    sample: Sample | Predictions,
    metrics: Sequence[str] = COMPARED_METRICS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return a row per comparison and metric: a minus b with its interval, by resampling.

    Columns DIFFERENCE_COLUMNS. kind, family, seed and the two cells say what is compared (see the
    module); `value_a`, `value_b` are the scores, `low`, `high`, `se`, `df` and `p` are explained in
    `inference.infer`, `p_holm` is corrected within the family. `p_equivalence` is that of TOST with
    +-`margin` (in the metric's unit): below .05, the two are as good as equal. `n` counts images,
    `groups` what was resampled. `progress(done, total)` is called after every cell that is scored.

    Raises:
        UsageError: no image of the protocol, cells of different images, an unknown metric, or two
            models with one name and seed.

    """
    sample = Sample.of(sample)
    chosen = known_metrics(metrics)
    cells = sample.aligned_cells()
    return difference_table(_pairs(sample, cells), sample, chosen, progress)


def mcnemar(sample: Sample | Predictions) -> pd.DataFrame:
    """Return a row per comparison of two networks: exact McNemar tests and effect sizes.

    Columns MCNEMAR_COLUMNS. `both`, `only_a`, `only_b` and `neither` count the images that each got
    right. `p_exact` and `p_mid` take images as independent. In `p_groups` each group has one vote,
    for whichever side got more of its images right: the exact sign test (Dixon & Mood 1946, JASA
    41), equal to `p_exact` where every group is one image; `p_holm` corrects it within the family.
    `odds_ratio` is that of matched pairs with its exact 95 % interval. Seeds are not pooled.

    Raises:
        UsageError: as `all_pairs`.

    """
    sample = Sample.of(sample)
    paired = sample.paired
    keys, counts, votes = [], [], []
    for pair in _pairs(sample, sample.aligned_cells()):
        if len(pair.a) == len(pair.b) == 1:
            keys.append(pair.key)
            counts.append(paired.images(pair.a[0], pair.b[0]))
            votes.append(paired.votes(pair.a[0], pair.b[0]))
    both, only_a, only_b, neither = np.array(counts, dtype=np.int64).reshape(-1, 4).T
    n = both + only_a + only_b + neither
    accuracy_a, accuracy_b = (both + only_a) / n, (both + only_b) / n
    for_a, for_b = np.array(votes, dtype=np.int64).reshape(-1, 2).T
    odds = paired_odds_ratio(only_a, only_b)
    columns = (n, both, only_a, only_b, neither, accuracy_a, accuracy_b, accuracy_a - accuracy_b)
    tests = (mcnemar_exact(only_a, only_b), mcnemar_mid(only_a, only_b))
    by_group = (mcnemar_exact(for_a, for_b), np.full(len(n), np.nan))
    effects = (*odds, cohens_g(only_a, only_b), cohens_h(accuracy_a, accuracy_b))
    values = (*columns, *tests, *by_group, *effects)
    table = pd.DataFrame(keys, columns=list(PAIR_COLUMNS)).assign(
        **dict(zip(MCNEMAR_COLUMNS[len(PAIR_COLUMNS) :], values, strict=True))
    )
    return corrected(table, ["seed", "family"], "p_groups")


def cochran(sample: Sample | Predictions) -> pd.DataFrame:
    """Return Cochran's Q for every three or more models on a condition, or conditions of a model.

    Columns COCHRAN_COLUMNS. A row says whether the accuracies of all that `compared` lists are
    equal (kinds and families as in the module; here a family is all rows of one kind and seed).
    Images are taken as independent; Q doesn't say which differ: see `mcnemar`.

    Raises:
        UsageError: as `all_pairs`.

    """
    sample = Sample.of(sample)
    paired = sample.paired
    rows = []
    for kind, family, seed, members, labels in _sets(sample):
        q, df, p = cochran_q_of_sums(*paired.hits(members))
        rows.append(
            {
                "kind": kind,
                "family": family,
                "seed": seed,
                "compared": ", ".join(labels),
                "k": len(members),
                "n": sample.size(members[0]),
                "q": q,
                "df": df,
                "p": p,
            }
        )
    return corrected(pd.DataFrame(rows, columns=list(COCHRAN_COLUMNS)), ["kind", "seed"])


def _pairs(sample: Sample, cells: Sequence[Cell]) -> Iterator[Pair]:
    """Yield everything to compare, as the module says, in order of appearance."""
    conditions = list(dict.fromkeys(condition for _, condition in cells))
    known = list(dict.fromkeys(sample.names["name"]))
    own = [name for name in known if name in conditions]
    for kind, family, whole, cell in _questions(known, conditions):
        yield from matched(sample, kind, family, (whole, "full"), cell)
    for a, b in combinations(own, 2):
        yield from matched(sample, "own conditions", "own conditions", (a, a), (b, b))
    for condition in conditions:
        family = f"models on {condition}"
        for a, b in combinations(known, 2):
            yield from matched(sample, "models", family, (a, condition), (b, condition))
    for name in known:
        family = f"conditions of {name}"
        for a, b in combinations(conditions, 2):
            yield from matched(sample, "conditions", family, (name, a), (name, b))


def _questions(
    known: Sequence[str], conditions: Sequence[str]
) -> Iterator[tuple[str, str, str, Cell]]:
    """Yield (kind, family, who reads whole faces, the cell that it is compared with)."""
    if "full" not in conditions:
        return
    hidden = [one for one in conditions if one != "full"]
    for one in hidden:
        if "full" in known:
            yield "robustness", "robustness", "full", ("full", one)
    for one in hidden:
        if one in known and "full" in known:
            family, whole = "available information, specialists", whole_reader(known)
            yield "available information", family, whole, (one, one)
    for one in hidden:
        if "any" in known:
            family = "available information, generalist"
            yield "available information", family, "any", ("any", one)


def _sets(sample: Sample) -> Iterator[tuple[str, str, str, list[Cell], list[str]]]:
    """Yield (kind, family, seed, cells, what to call them) for every three or more of one kind."""
    present = set(sample.cells)
    conditions = list(dict.fromkeys(condition for _, condition in sample.aligned_cells()))
    known = list(dict.fromkeys(sample.names["name"]))
    own = [name for name in known if name in conditions]
    wanted = [("models", f"models on {one}", [(name, one) for name in known]) for one in conditions]
    wanted += [
        ("conditions", f"conditions of {name}", [(name, one) for one in conditions])
        for name in known
    ]
    wanted.append(("own conditions", "own conditions", [(name, name) for name in own]))
    for kind, family, cells in wanted:
        for seed, models in runs_of(sample.names, [name for name, _ in cells]) if cells else ():
            if seed == "mean":
                continue
            pairs = [
                ((model, condition), name if kind == "models" else condition)
                for model, (name, condition) in zip(models, cells, strict=True)
                if (model, condition) in present
            ]
            if len(pairs) >= 3:
                yield kind, family, seed, [cell for cell, _ in pairs], [label for _, label in pairs]
