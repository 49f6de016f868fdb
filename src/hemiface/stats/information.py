"""What a visible part of the face says about the emotion, in bits: usable (V-)information.

    I_V(X -> Y) = H_V(Y) - H_V(Y | X)

is what a family V of predictors can make of X: the expected log loss of its best member that sees
nothing, minus that of its best one that sees X. It can never be more than Shannon's information and
unlike that one grows by processing, which is what training does. Its pointwise form, of one image,

    PVI(x -> y) = log2 p(y | x) - log2 p(y)

averages to I_V over all images, and over the images of one emotion says how much a part tells of
that emotion. Below 0 it misleads.

Sources: Xu, Zhao, Song, Stewart & Ermon 2020, A theory of usable information under computational
constraints, ICLR, definitions 1 and 2; Ethayarajh, Choi & Swayamdipta 2022, Understanding dataset
difficulty with V-usable information, ICML, eq. 4.

What is estimated, and from what:

- p(y | x) is a trained network's at a temperature that has the least log loss on the validation
  images under the same condition. Label smoothing and too much confidence would count as ignorance
  otherwise.
- p(y), of who sees nothing, is the share of each emotion among the validation images: of all
  answers that don't look, the best. The black picture isn't asked; what a network makes of it
  depends on chance.
- Two mixes of emotions. `data`: emotions as frequent as in the data. `balanced`: each a seventh;
  the networks' probabilities are moved to that mix by Bayes' rule (`models.class_mix`), and the
  mean over all is that of the seven emotions. Specifications (`stats.specification`) also have the
  mix FIVE, in which happy and neutral, the frequent ones that a mouth tells, don't occur.
- The family of a question. `available information`: networks that were trained for what they see,
  which is what the definition asks for; the whole face is read by the same family (the generalist;
  for specialists `longer`, which was fine-tuned as they were, or where there is none the baseline,
  which they were trained from and so for longer). `robustness`: the baseline and `longer`, which
  never saw a hidden face, for comparison; they say what a network uses and not what there is.

Validation images decide temperatures and p(y); their chance is not in the intervals, which are over
groups of test images and over seeds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.models.class_mix import reweigh
from hemiface.models.temperatures import scale
from hemiface.occlusion.conditions import COALITIONS, HALVES, QUADRANTS, Fill, condition
from hemiface.stats.calibration import FAULTLESS, doubt, fit_temperature, reason_of
from hemiface.stats.importance.game import GROUPED, emotion_shares, means_over_draws
from hemiface.stats.inference import Inference, infer
from hemiface.stats.metrics import log_losses
from hemiface.stats.sample import Cell, Sample, whole_reader
from hemiface.stats.significance import effective_units
from hemiface.tables import EMOTIONS, Predictions

__all__ = [
    "FIVE",
    "INFORMATION_COLUMNS",
    "MIXES",
    "WHOLE",
    "Bits",
    "Family",
    "Informing",
    "by_fill",
    "emotions_of",
    "families",
    "information",
    "informative",
    "seeds_left_out",
    "visible_part",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIXES = ("data", "balanced")
"""How frequent the emotions are: as in the data, or all alike."""

WHOLE = "whole"
_OPPOSITE = {"upper": "lower", "lower": "upper", "left": "right", "right": "left"}
FIVE = "without happy and neutral"
"""The other five emotions, each a fifth, known to be one of them."""
_SHARES: dict[str, Floats] = {
    "balanced": np.full(len(EMOTIONS), 1 / len(EMOTIONS)),
    FIVE: np.array([0.0 if one in ("happy", "neutral") else 1 / 5 for one in EMOTIONS]),
}
"""The mixes that are declared, not the data's own."""

INFORMATION_COLUMNS = (
    "question",
    "model",
    "seed",
    "fill",
    "mix",
    "condition",
    "visible",
    "emotion",
    "bits",
    "low",
    "high",
    "se",
    "df",
    "temperature",
    "n",
    "groups",
    "method",
    "reason",
)


def visible_part(key: str) -> str:
    """Return what can be seen under a condition, "" where no word says it.

    >>> visible_part("lower"), visible_part("full"), visible_part("only-upper-left")
    ('upper', 'whole', 'upper-left')
    >>> visible_part("upper-left")
    'all but upper-left'
    """
    one = condition(key)
    if one.random_percent:
        return ""
    seen = frozenset(QUADRANTS) - one.hidden
    if len(seen) == len(QUADRANTS):
        return WHOLE
    if not seen:
        return "none"
    if len(seen) == 1:
        return next(iter(seen))
    name = COALITIONS[seen]
    if name in _OPPOSITE:
        return _OPPOSITE[name]
    other = COALITIONS[one.hidden]
    return f"all but {name}" if len(one.hidden) == 1 else other


@dataclass(frozen=True)
class Family:
    """Networks that answer one question together, by seed, under one fill of what is hidden.

    `members` maps each seed to the network (model ID) that reads each condition; all seeds have the
    same conditions, in the table's order, and `full` is one of them.
    """

    question: str
    name: str
    fill: str
    members: dict[str, dict[str, str]]
    left_out: tuple[str, ...] = ()
    """Seeds that lack one of its conditions."""

    @property
    def conditions(self) -> list[str]:
        """What is hidden, `full` among them."""
        return list(next(iter(self.members.values())))

    def key(self, hidden: str) -> str:
        """Return the condition that hides a part under this family's fill."""
        return condition(hidden, cast(Fill, self.fill)).key

    def runs(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield (what the column `seed` says, the seeds): each one, then `mean` of several."""
        for seed in self.members:
            yield seed, (seed,)
        if len(self.members) > 1:
            yield "mean", tuple(self.members)


def families(sample: Sample | Predictions) -> list[Family]:
    """Return the families of a table that read whole faces and something hidden.

    The baseline `full` and `longer` (robustness), every other single network (available
    information), and the specialists together, each on what it was trained for; each fill apart,
    black first.
    """
    sample = Sample.of(sample)
    names, cells = sample.names, set(sample.cells)
    singles = [str(one) for one in dict.fromkeys(names["name"]) if one not in HALVES]
    found = []
    for fill, conditions in by_fill(sample.conditions).items():
        found += [_single(names, cells, conditions, fill, name) for name in singles]
        found.append(_specialists(names, cells, conditions, fill))
    return [one for one in found if one is not None]


def by_fill(conditions: Sequence[str]) -> dict[str, list[str]]:
    """Return the conditions of each fill in their order, black first; `full` is of every fill."""
    fills = dict.fromkeys(["black", *(condition(key).fill for key in conditions)])
    return {
        fill: [key for key in conditions if key == "full" or condition(key).fill == fill]
        for fill in fills
    }


def _single(
    names: pd.DataFrame, cells: set[Cell], conditions: Sequence[str], fill: str, name: str
) -> Family | None:
    own = names[names["name"] == name].sort_values("seed")
    by_seed = {str(one.seed): str(one.model) for one in own.itertuples(index=False)}
    members = {
        seed: {key: model for key in conditions if (model, key) in cells}
        for seed, model in by_seed.items()
    }
    question = "robustness" if name in ("full", "longer") else "available information"
    return _common(question, name, fill, members)


def _specialists(
    names: pd.DataFrame, cells: set[Cell], conditions: Sequence[str], fill: str
) -> Family | None:
    members: dict[str, dict[str, str]] = {}
    # Who reads whole faces has to have been trained for as long as those who read the halves.
    readers = {whole_reader(names["name"]): "full", **{half: half for half in HALVES}}
    for one in names.sort_values("seed").itertuples(index=False):
        key = readers.get(str(one.name), "")
        if key in conditions and (str(one.model), key) in cells:
            members.setdefault(str(one.seed), {})[key] = str(one.model)
    ordered = {
        seed: {key: known[key] for key in conditions if key in known}
        for seed, known in members.items()
    }
    return _common("available information", "specialists", fill, ordered)


def _common(
    question: str, name: str, fill: str, members: dict[str, dict[str, str]]
) -> Family | None:
    """Return the family of the conditions that all seeds with the most of them have."""
    most = max((len(known) for known in members.values()), default=0)
    kept = {seed: known for seed, known in members.items() if len(known) == most}
    first = next(iter(kept.values()), {})
    same = {seed: known for seed, known in kept.items() if list(known) == list(first)}
    if "full" not in first or most < 2:
        return None
    return Family(question, name, fill, same, tuple(seed for seed in members if seed not in same))


def seeds_left_out(sample: Sample | Predictions) -> list[str]:
    """Return a sentence for each family of which a seed lacks conditions that others have.

    Bits of parts add up to that of the whole face only where the same networks read all.
    """
    return [
        f"Bits and sensitivity of {one.name} under fill {one.fill} are of the seeds that have the "
        f"most conditions, without seed {', '.join(one.left_out)}."
        for one in families(sample)
        if one.left_out
    ]


def informative(sample: Sample | Predictions) -> bool:
    """Return whether there is a family, and validation images to fit it on."""
    sample = Sample.of(sample)
    return bool(sample.protocol != "paper" and len(sample.validation.table) and families(sample))


class Informing(Protocol):
    """Whatever knows how much can be told of emotions by what is visible, under one mix."""

    @property
    def mix(self) -> str:
        """One of MIXES."""
        ...

    @property
    def groups(self) -> npt.NDArray[np.int64] | Floats:
        """How many independent units bear on each of GROUPED, [8]."""
        ...

    def by_seed(self, family: Family, seeds: Sequence[str], key: str) -> Floats:
        """Return [8, seeds, 1 + draws] of a family under one condition, the first axis GROUPED."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many images or answers each of GROUPED has."""
        ...

    def infer(self, values: Floats) -> Inference:
        """Return what draws [..., seeds, 1 + draws] say about a mean over seeds."""
        ...


@dataclass(frozen=True, eq=False)
class Bits:
    """Information of cells under one mix, over the images of a sample and its draws.

    `of` gives float64 [8, 1 + draws]: GROUPED (the emotions, then all), the sample first; NaN for
    emotions that don't occur in the mix. Tables of one sample share theirs: `Bits.of_sample`.
    """

    sample: Sample
    mix: str
    _known: dict[Cell, Floats] = field(default_factory=dict)
    _temperatures: dict[Cell, tuple[float, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mix not in (known := (*MIXES, FIVE)):
            raise UsageError(f"Mix {self.mix!r} is unknown; choose from {', '.join(known)}.")
        if self.sample.protocol == "paper" or self.sample.validation.table.empty:
            raise UsageError(
                "Information needs temperatures that are fitted on validation images which aren't "
                "scored; evaluate with --split validation --split test."
            )
        absent = [name for name, one in zip(EMOTIONS, self.prior, strict=True) if one == 0]
        if absent:
            raise UsageError(
                f"The validation images show no {', '.join(absent)}; what answering without "
                "looking is worth isn't known then."
            )

    @classmethod
    def of_sample(cls, sample: Sample, mix: str) -> "Bits":
        """Return the sample's own, so that several tables of it fit and draw once.

        Raises:
            UsageError: the mix is unknown, or validation images are missing or lack an emotion.
        """
        key = cls.__name__, mix
        if key not in sample.kept:
            sample.kept[key] = cls(sample, mix)
        found: Bits = sample.kept[key]
        return found

    @cached_property
    def prior(self) -> Floats:
        """The shares of the emotions among the validation images, float64 [7]."""
        return emotion_shares(self.sample.validation)

    @property
    def shares(self) -> Floats:
        """The shares of the emotions in the mix, float64 [7]."""
        return _SHARES.get(self.mix, self.prior)

    def temperature(self, model: str, key: str) -> float:
        """Return the temperature at which a cell's probabilities are taken.

        It is the pooled one where no validation image of the cell is wrong, and 1 where none is in
        all: the sharpest would cost bits that the network has (see `calibration.FAULTLESS`).
        """
        return self._taken(model, key)[0]

    def doubt(self, model: str, key: str) -> str:
        """Return why the cell's temperature is in doubt, or ""."""
        return reason_of(self._taken(model, key)[1])

    @property
    def doubts(self) -> list[str]:
        """A sentence for each temperature so far asked for that couldn't be fitted."""
        return [
            doubt(model, key, used, reason)
            for (model, key), (used, reason) in self._temperatures.items()
            if reason_of(reason)
        ]

    def _taken(self, model: str, key: str) -> tuple[float, str]:
        cell = model, key
        if cell not in self._temperatures:
            places = self.sample.validation.places
            if cell not in places:
                raise UsageError(
                    f"{model} under {key} has no validation images; evaluate with "
                    "--split validation --split test."
                )
            found, reason = self._fitted(places[cell])
            if reason == FAULTLESS:
                every = [rows for (one, _), rows in places.items() if one == model]
                pooled, why = self._fitted(np.concatenate(every))
                found = 1.0 if why == FAULTLESS else pooled
            self._temperatures[cell] = found, reason
        return self._temperatures[cell]

    def _fitted(self, rows: Ints) -> tuple[float, str]:
        """Return what `fit_temperature` says of validation rows under the mix."""
        validation = self.sample.validation
        values, labels = validation.values[rows], validation.labels[rows]
        weights = offset = None
        if self.mix in _SHARES:
            occurs = self.shares[labels] > 0
            values, labels = values[occurs], labels[occurs]
            weights = 1 / self.prior[labels]
            with np.errstate(divide="ignore"):
                offset = np.log(self.shares / self.prior)
        return fit_temperature(values, labels, weights, offset)

    def pointwise(self, model: str, key: str) -> Floats:
        """Return PVI float64 [n] of the cell's images, in bits, in the order of `aligned`.

        It is 0 for images whose emotion doesn't occur in the mix.
        """
        rows = self.sample.aligned.at(model, key)
        labels = self.sample.aligned.labels
        values = scale(self.sample.values[rows], self.temperature(model, key))
        if self.mix in _SHARES:
            values = reweigh(values, self.prior, self.shares)
        occurs = self.shares[labels] > 0
        gained = np.zeros(len(labels))
        blind = -np.log(self.shares[labels[occurs]])
        gained[occurs] = (blind - log_losses(values[occurs], labels[occurs])) / np.log(2)
        return gained

    def of(self, model: str, key: str) -> Floats:
        """Return the information of one cell, [8, 1 + draws]."""
        cell = model, key
        if cell not in self._known:
            aligned = self.sample.aligned
            means, _ = means_over_draws(
                self.pointwise(model, key)[:, None],
                aligned.labels,
                aligned.groups,
                self.sample.weights,
            )
            found = means[:, :, 0].T
            if self.mix in _SHARES:
                occurs = self.shares > 0
                found[:-1][~occurs] = np.nan
                found = np.vstack([found[:-1], found[:-1][occurs].mean(axis=0)])
            self._known[cell] = found
        return self._known[cell]

    def by_seed(self, family: Family, seeds: Sequence[str], key: str) -> Floats:
        """Return [8, seeds, 1 + draws] of a family under one condition."""
        return np.stack([self.of(family.members[one][key], key) for one in seeds], axis=-2)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """How many groups of images bear on each of GROUPED, int [8]."""
        known = self.sample.emotion_groups.copy()
        if self.mix in _SHARES:
            known[-1] = len(np.unique(self.sample.aligned.groups[self._occurring]))
        return known

    @property
    def _occurring(self) -> npt.NDArray[np.bool_]:
        """Whether each image's emotion occurs in the mix, bool [images]."""
        found: npt.NDArray[np.bool_] = self.shares[self.sample.aligned.labels] > 0
        return found

    def infer(self, values: Floats) -> Inference:
        """Return what draws [..., seeds, 1 + draws] say about a mean over seeds."""
        bearing = self.sample.emotion_bearing.copy()
        if self.mix in _SHARES:
            occurring = self.sample.aligned.groups[self._occurring]
            bearing[-1] = effective_units(np.bincount(occurring))
        return infer([values], self.sample.group_count, self.sample.options, bearing)

    def counts(self) -> dict[str, int]:
        """Return how many images each of GROUPED has."""
        known = np.bincount(self.sample.aligned.labels, minlength=len(EMOTIONS))
        known = np.where(self.shares > 0, known, 0)
        return dict(zip(GROUPED, [*known.tolist(), int(known.sum())], strict=True))


def emotions_of(mix: str) -> list[str]:
    """Return the emotions that occur in a mix, of MIXES or FIVE."""
    shares = _SHARES.get(mix)
    return [one for place, one in enumerate(EMOTIONS) if shares is None or shares[place] > 0]


def information(sample: Sample | Predictions) -> pd.DataFrame:
    """Return what each visible part tells of each emotion, in bits.

    Columns INFORMATION_COLUMNS: `condition` is what is hidden and `visible` what can be seen;
    `emotion` `all` is the mean over images (`data`) or emotions (`balanced`); `temperature` is the
    mean over seeds, and `reason` says why there is no interval or why a temperature is another one
    than the fitted. For the intervals see `inference.infer`.

    Raises:
        UsageError: no network reads whole faces and something hidden, or validation images are
            missing.
    """
    sample = Sample.of(sample)
    found = families(sample)
    if not found:
        raise UsageError(
            "Information is told of whole faces and a hidden part, read by one network; evaluate "
            "with --conditions full,upper,lower,left,right."
        )
    rows: list[dict[str, Any]] = []
    for mix in MIXES:
        bits = Bits.of_sample(sample, mix)
        for family in found:
            for seed, seeds in family.runs():
                for key in family.conditions:
                    rows += _rows(bits, family, seed, seeds, key)
    return pd.DataFrame(rows, columns=list(INFORMATION_COLUMNS))


def _rows(
    bits: Bits, family: Family, seed: str, seeds: Sequence[str], key: str
) -> Iterator[dict[str, Any]]:
    counts = bits.counts()
    one = bits.infer(bits.by_seed(family, seeds, key))
    members = [family.members[member][key] for member in seeds]
    warmth = [bits.temperature(model, key) for model in members]
    doubtful = dict.fromkeys(bits.doubt(model, key) for model in members)
    for place, emotion in enumerate(GROUPED):
        row = one.row(place)
        yield row | {
            "question": family.question,
            "model": family.name,
            "seed": seed,
            "fill": family.fill,
            "mix": bits.mix,
            "condition": key,
            "visible": visible_part(key),
            "emotion": emotion,
            "bits": row["difference"],
            "temperature": float(np.mean(warmth)),
            "n": counts[emotion],
            "groups": int(bits.groups[place]),
            "reason": "; ".join(filter(None, [*doubtful, row["reason"]])),
        }
