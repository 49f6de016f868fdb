"""What people's answers tell about the emotion that was shown, in bits, and what each half adds.

As `stats.information` has it of networks: how much better somebody who sees the answer can predict
the emotion than somebody who doesn't,

    PVI(answer -> y) = log2 p(y | answer) - log2 p(y)

which averages to V-information, with all functions of the answer as the family of predictors. What
is held out there (validation images) is held out here too: p(y | answer) and p(y) of a trial are
those of the *other* participants' answers to *other* faces under the same condition, of a network's
those of the other faces, each count starting at a half (Krichevsky & Trofimov 1981, The performance
of universal encoding, IEEE Trans. Inf. Theory 27). What others answered to the same face would say
what this face is taken for, and not what its emotion is. So it isn't lifted by chance, as the plain
mutual information of a table of answers is (Miller 1955), but the fewer people and faces, the more
it falls short. Of an emotion that no other face shows nobody could have learnt: it has no bits, nor
has the mean over all.

Answers keep less than a network's probabilities: compare these bits with those of the same table
alone. Who sees nothing has 0 bits; the halves' Shapley values (`stats.shapley`) are made of these.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import COALITIONS, condition
from hemiface.stats.decomposition import decomposable
from hemiface.stats.importance.game import GROUPED, means_over_draws
from hemiface.stats.inference import Inference
from hemiface.stats.information import MIXES, Family, by_fill
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.people.trials import PEOPLE, Trials, visible_of
from hemiface.stats.shapley import shared_out

__all__ = ["PEOPLE_INFORMATION_COLUMNS", "AnswerBits", "information", "shapley"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PEOPLE_INFORMATION_COLUMNS = (
    "who",
    "mix",
    "condition",
    "visible",
    "emotion",
    "bits",
    "low",
    "high",
    "se",
    "df",
    "n",
    "participants",
    "faces",
    "method",
    "reason",
)
_START = 0.5
_LOST = ("no other face shows it", "of an emotion only one face tells")
_MEAN = "mean"
"""As what people or a network count among seeds: there is one of each."""


@dataclass(frozen=True, eq=False)
class AnswerBits:
    """Bits of one sample's answers under one mix, an `information.Informing`."""

    trials: Trials
    mix: str
    _known: dict[str, Floats] = field(default_factory=dict)
    _told: dict[str, tuple[Ints, Floats]] = field(default_factory=dict)

    @property
    def groups(self) -> Floats:
        """How many units of like size there are to resample, for each of GROUPED."""
        return self.trials.bearing(*self.trials.conditions)

    def infer(self, values: Floats) -> Inference:
        """Return what draws [..., 1, 1 + all draws] say."""
        return self.trials.infer(values[..., 0, :], self.groups)

    def counts(self) -> dict[str, int]:
        """Return how many trials with bits show each of GROUPED."""
        none = np.zeros(len(GROUPED), np.int64)
        known = sum((self.supports(key) for key in self.trials.conditions), start=none)
        return dict(zip(GROUPED, known.tolist(), strict=True))

    def supports(self, key: str) -> Ints:
        """Return how many trials of a condition that have bits show each of GROUPED, int64 [8]."""
        rows, _ = self.told(key)
        own = np.bincount(self.trials.labels[rows], minlength=CLASSES)
        return np.append(own, own.sum())

    def lost(self, key: str) -> npt.NDArray[np.bool_]:
        """Return of which of GROUPED there are trials of a condition and no bits, bool [8]."""
        shown = self.trials.supports(key) > 0
        lost = shown & (self.supports(key)[:-1] == 0)
        return np.append(lost, lost.any())

    def told(self, key: str) -> tuple[Ints, Floats]:
        """Return which trials of a condition have bits, and these, float64 [trials]."""
        if key not in self._told:
            rows = self.trials.rows(key)
            labels = self.trials.labels[rows]
            bits = pointwise(labels, self.trials.answers[rows], self._units(rows), self.mix)
            there = np.isfinite(bits)
            self._told[key] = rows[there], bits[there]
        return self._told[key]

    def by_seed(self, family: Family, seeds: Sequence[str], key: str) -> Floats:  # noqa: ARG002
        """Return [8, 1, 1 + all draws] of one condition; people and networks have one seed each.

        A mean over other emotions than the other conditions show can't be shared out: it is NaN.
        """
        shown = np.bincount(self.trials.labels, minlength=CLASSES) > 0
        is_of_all = (self.supports(key)[:-1] > 0)[shown].all()
        found = self.of(key)
        return (found if is_of_all else np.vstack([found[:-1], found[-1:] * np.nan]))[:, np.newaxis]

    def of(self, key: str) -> Floats:
        """Return the bits of one condition in the sample and its draws, [8, 1 + all draws]."""
        if key not in self._known:
            rows, told = self.told(key)
            labels, groups = self.trials.labels[rows], self.trials.groups[rows]
            means, _ = means_over_draws(told[:, np.newaxis], labels, groups, self.trials.weights)
            found = means[:, :, 0].T
            if self.mix == "balanced":
                there = np.isfinite(found[:-1])
                mean = ratio(np.where(there, found[:-1], 0.0).sum(axis=0), there.sum(axis=0))
                found = np.vstack([found[:-1], mean])
            found[self.lost(key)] = np.nan
            self._known[key] = found
        return self._known[key]

    def _units(self, rows: Ints) -> list[Ints]:
        """Return what is held out with each trial: its participant and face, of a network this."""
        both = [self.trials.participants[rows], self.trials.faces[rows]]
        return both if self.trials.who == PEOPLE else both[1:]


def pointwise(labels: Ints, answers: Ints, units: Sequence[Ints], mix: str) -> Floats:
    """Return each answer's PVI in bits, float64 [n], by what the other units' answers say.

    labels in 0..6, answers in 0..7, each [n]; `units` one or two kinds of any codes, each [n]:
    trials that share any of them with a trial are held out of what it is told by. `mix` is one of
    MIXES: what is left is weighted so that the emotions are as frequent as in all of these trials,
    or alike. NaN where there is a single unit of a kind, for nothing is held out then, and where
    nothing that is left shows the trial's own emotion: the halves that counts start at would be all
    that is known of it, beside other emotions that have counts.

    Raises:
        UsageError: the mix is unknown.
    """
    if mix not in MIXES:
        raise UsageError(f"Mix {mix!r} is unknown; choose from {', '.join(MIXES)}.")
    if any(len(np.unique(one)) < 2 for one in units):
        return np.full(len(labels), np.nan)
    shown = np.bincount(labels, minlength=CLASSES).astype(np.float64)
    here = shown > 0
    kinds = np.count_nonzero(here)
    # How often each emotion was answered as here, and was shown, where nothing is shared. [n, 7].
    of_answer, of_all = _counts([], answers, labels)
    for size in range(1, len(units) + 1):
        for shared in combinations(units, size):
            # What shares both was taken away twice.
            sign = (-1) ** size
            with_answer, at_all = _counts(shared, answers, labels)
            of_answer, of_all = of_answer + sign * with_answer, of_all + sign * at_all
    # Of a face's own emotion fewer faces are left than of the others. That says nothing of it: what
    # is left counts as if the emotions were shown as often as they are in all, or alike.
    wanted = np.full(CLASSES, len(labels) / kinds) if mix == "balanced" else shown
    scale = np.where(of_all > 0, ratio(wanted, of_all), 0.0)
    of_answer, of_all = of_answer * scale, of_all * scale

    def log_share(found: Floats) -> Floats:
        total = found[:, here].sum(axis=1) + _START * kinds
        share: Floats = np.log2((found[own] + _START) / total)
        return share

    own = np.arange(len(labels)), labels
    return np.where(of_all[own] > 0, log_share(of_answer) - log_share(of_all), np.nan)


def _counts(shared: Sequence[Ints], answers: Ints, labels: Ints) -> tuple[Floats, Floats]:
    """Return how often each emotion stands beside a trial's own answer and beside any, [n, 7] each.

    Counted are the trials that share each of `shared` with it, itself among them.
    """
    own = np.zeros(len(labels), dtype=np.int64)
    for codes in shared:
        _, known = np.unique(codes, return_inverse=True)
        _, own = np.unique(own * (known.max() + 1) + known, return_inverse=True)
    found = []
    for keys in (own * (CLASSES + 1) + answers, own):
        _, place = np.unique(keys, return_inverse=True)
        counts = np.zeros((place.max() + 1, CLASSES))
        np.add.at(counts, (place, labels), 1.0)
        found.append(counts[place])
    return found[0], found[1]


def information(every: Sequence[Trials]) -> pd.DataFrame:
    """Return what the answers tell under each condition: columns PEOPLE_INFORMATION_COLUMNS."""
    rows: list[dict[str, Any]] = []
    for trials in every:
        for mix in MIXES:
            bits = AnswerBits(trials, mix)
            for key in trials.conditions:
                rows += _rows(bits, key)
    return pd.DataFrame(rows, columns=list(PEOPLE_INFORMATION_COLUMNS))


def _rows(bits: AnswerBits, key: str) -> Iterator[dict[str, Any]]:
    trials = bits.trials
    one = trials.infer(bits.of(key), trials.bearing(key))
    (told, _), lost = bits.told(key), bits.lost(key)
    for place, emotion in enumerate(GROUPED):
        row, sizes = one.row(place), trials.sizes_of(told, place)
        reason = row["reason"] if sizes["n"] else "no trials"
        yield (
            row
            | sizes
            | {
                "who": trials.who,
                "mix": bits.mix,
                "condition": key,
                "visible": visible_of(key),
                "emotion": emotion,
                "bits": row["difference"],
                "reason": _LOST[place == CLASSES] if lost[place] else reason,
            }
        )


def shapley(every: Sequence[Trials]) -> pd.DataFrame:
    """Return what each half adds to the answers, in bits: columns as `stats.shapley.shapley`.

    `question` and `model` say whose answers they are, `fill` what is put where a half is hidden.
    Empty where no one saw whole faces and both halves of a pair.
    """
    told = []
    for trials in every:
        known = [key for key in trials.conditions if _is_part(key)]
        for fill, keys in by_fill(known).items():
            if "full" in keys:
                family = Family(trials.who, trials.who, fill, {_MEAN: dict.fromkeys(keys, "")})
                games = [_of(trials, family, game) for game in _games(family)]
                told += [(AnswerBits(own, mix), one) for mix in MIXES for own, one in games]
    return shared_out(told)


def _games(family: Family) -> list[list[str]]:
    """Return the conditions that are played together: of each pair of halves, of all quadrants.

    Each for itself: what few people saw of one pair says nothing of how well another is known, nor
    of the whole face, which is worth what its own trials say.
    """
    games = [[family.key(half) for half in pair] for pair in decomposable(family)]
    games = [[], *games] if games else []
    every = [family.key(name) for seen, name in COALITIONS.items() if seen]
    if set(every) <= set(family.conditions):
        games.append(every)
    return [list(dict.fromkeys(["full", *game])) for game in games]


def _of(trials: Trials, family: Family, keys: Sequence[str]) -> tuple[Trials, Family]:
    # Trials of other conditions would be counted as those of these.
    members = {_MEAN: dict.fromkeys(keys, trials.who)}
    return trials.select(keys), replace(family, members=members)


def _is_part(key: str) -> bool:
    """Return whether a condition hides a part that is the same in every face."""
    try:
        return not condition(key).random_percent
    except UsageError:
        return False
