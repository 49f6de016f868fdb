"""The sample of people's answers: both the people and the faces are drawn, crossed.

People who answered are a sample of people, and the faces that they saw one of faces; a result that
shall hold for others of both kinds has to vary with both (Clark 1973, The language-as-fixed-effect
fallacy, J. Verb. Learn. Verb. Behav. 12; Judd, Westfall & Kenny 2012, J. Pers. Soc. Psychol. 103).
Each draw therefore takes participants with replacement and, independently, faces with replacement;
a trial weighs how often its participant times how often its face was drawn (the pigeonhole
bootstrap: Owen 2007, Ann. Appl. Stat. 1, 386-411). Everybody need not have seen everything.

Such draws vary too much: what neither people nor faces explain, which is most of single answers,
counts three times (Owen 2007, theorem 4). So there are draws of participants alone and of faces
alone beside them. With P, F and X the variances over draws of participants, of faces and of both,
X - P - F is that of the rest, and

    variance = P + F - (X - P - F)

counts everything once: the two-way clustered variance of Cameron, Gelbach & Miller 2011, Robust
inference with multiway clustering, J. Bus. Econ. Stat. 29, 238-249. It is never taken for less than
P or F. Crossed draws are drawn in towards the sample until they vary so much; intervals are their
percentiles, expanded for as many units as the smaller of both samples has, of one emotion those
that were shown it and those that show it (`Trials.bearing`, `significance.expanded_quantiles`).
`validity/people.py` counts how often they hold the truth.

Faces are drawn by person where that is known, for pictures of one person share their fate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.config import StatisticsOptions
from hemiface.errors import UsageError
from hemiface.occlusion.conditions import CONDITIONS
from hemiface.stats.inference import TOO_FEW, Inference, infer
from hemiface.stats.information import visible_part
from hemiface.stats.metrics import CLASSES, ratio
from hemiface.stats.sample import Weights, group_weights, sizes_by_emotion
from hemiface.stats.significance import effective_units
from hemiface.tables import EMOTIONS

__all__ = ["PEOPLE", "Trials", "visible_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PEOPLE = "people"
"""Whose answers they are, where it is no network."""

_NEEDED = ("participant", "stimulus", "person", "condition", "reference", "emotion", "answer")


@dataclass(frozen=True, eq=False)
class Trials:
    """Trials that count, whose answers they are, and how often each draw holds them.

    `table` has at least participant, stimulus, person, condition, reference (the condition that it
    is compared with, or ""), emotion (one of EMOTIONS) and answer (the same, or any other word for
    an answer that is no emotion).

    Raises:
        UsageError: a column is missing, or there is no trial.
    """

    table: pd.DataFrame
    options: StatisticsOptions
    who: str = PEOPLE

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDED if name not in self.table.columns]
        if missing or self.table.empty:
            raise UsageError(
                f"The trials lack {', '.join(missing)}." if missing else "No trial counts."
            )

    @cached_property
    def labels(self) -> Ints:
        """What was shown, int64 [n]."""
        return pd.Categorical(self.table["emotion"], list(EMOTIONS)).codes.astype(np.int64)

    @cached_property
    def answers(self) -> Ints:
        """What was answered, int64 [n]; 7 is no emotion."""
        places = {emotion: place for place, emotion in enumerate(EMOTIONS)}
        return np.array([places.get(one, CLASSES) for one in self.table["answer"]], dtype=np.int64)

    @cached_property
    def participants(self) -> Ints:
        """Whose answer each is, int64 [n], in 0 .. participant_count - 1."""
        return _codes(self.table["participant"])

    @cached_property
    def faces(self) -> Ints:
        """Whose face each shows, int64 [n], in 0 .. face_count - 1."""
        return _codes(self.table["person"])

    @property
    def participant_count(self) -> int:
        """How many people answered."""
        return int(self.participants.max()) + 1

    @property
    def face_count(self) -> int:
        """How many faces were shown."""
        return int(self.faces.max()) + 1

    @property
    def units(self) -> int:
        """How many independent units there are at least: the smaller of both samples."""
        return min(self.participant_count, self.face_count)

    @property
    def _columns(self) -> tuple[slice, slice, slice]:
        """Where draws of both, of participants alone and of faces alone stand behind column 0."""
        draws = self.options.draws
        alone = max(draws // 2, 1)
        ends = np.cumsum([1, draws, alone, alone]).tolist()
        return slice(ends[0], ends[1]), slice(ends[1], ends[2]), slice(ends[2], ends[3])

    @cached_property
    def participant_weights(self) -> Weights:
        """How often each draw holds each participant, int16 [participants, 1 + all draws].

        Column 0 holds everybody once, it is the sample itself; draws of both follow, half as many
        of participants alone, and as many of faces alone, which hold everybody once.
        """
        both, people, _ = self._columns
        return self._weights(self.participant_count, self.options.seed, (both, people))

    @cached_property
    def face_weights(self) -> Weights:
        """How often each draw holds each face, int16 [faces, 1 + all draws], as for people."""
        both, _, faces = self._columns
        return self._weights(self.face_count, self.options.seed + 1, (both, faces))

    def _weights(self, units: int, seed: int, drawn: tuple[slice, slice]) -> Weights:
        weights: Weights = np.ones((units, self._columns[-1].stop), dtype=np.int16)
        sizes = [one.stop - one.start for one in drawn]
        every = group_weights(units, sum(sizes), seed)
        weights[:, drawn[0]], weights[:, drawn[1]] = np.split(every, [sizes[0]], axis=1)
        return weights

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints, Ints]:
        """Each trial's pair of participant and face [n], and the two of each pair."""
        codes, pairs = pd.factorize(self.participants * self.face_count + self.faces, sort=True)
        people, faces = np.divmod(np.asarray(pairs, dtype=np.int64), self.face_count)
        return codes.astype(np.int64), people, faces

    @property
    def groups(self) -> Ints:
        """Each trial's row of `weights`, int64 [n]."""
        return self._pairs[0]

    @cached_property
    def weights(self) -> Weights:
        """How often each draw holds each pair of participant and face, int16 [pairs, 1 + all]."""
        _, people, faces = self._pairs
        crossed: Weights = self.participant_weights[people] * self.face_weights[faces]
        return crossed

    @cached_property
    def conditions(self) -> list[str]:
        """The conditions: those of networks in their order, then others by name."""
        places = {one: place for place, one in enumerate(CONDITIONS)}
        found = set(self.table["condition"])
        return sorted(found, key=lambda one: (places.get(one, len(places)), one))

    @cached_property
    def references(self) -> dict[str, str]:
        """The condition that each one is compared with, where there are trials of both."""
        pairs = self.table.drop_duplicates("condition")[["condition", "reference"]]
        known = set(self.conditions)
        return {one: other for one, other in pairs.itertuples(index=False) if other in known}

    def rows(self, condition: str) -> Ints:
        """Return where the trials of a condition stand."""
        return np.flatnonzero((self.table["condition"] == condition).to_numpy())

    def drawn_counts(self, condition: str) -> Floats:
        """Return how often what was answered to what in the sample and its draws.

        float64 [7 shown, 8 answered, 1 + all draws]; the eighth answer is no emotion.
        """
        rows = self.rows(condition)
        codes = self.labels[rows] * (CLASSES + 1) + self.answers[rows]
        groups, own = np.unique(self.groups[rows], return_inverse=True)
        counts = np.zeros((CLASSES * (CLASSES + 1), len(groups)))
        np.add.at(counts, (codes, own), 1.0)
        drawn = counts @ self.weights[groups].astype(np.float64)
        result: Floats = drawn.reshape(CLASSES, CLASSES + 1, -1)
        return result

    def bearing(self, *conditions: str) -> Floats:
        """Return how many units bear on each emotion under conditions, then on all, float64 [8].

        The smaller of how many people were shown it and how many faces show it, of like size
        (`significance.effective_units`): of a face that most trials show little is told by the
        others. Under several conditions the least of them. What is said of one emotion rests on its
        own faces alone.
        """
        found = [self.bearing_of(self.rows(one)) for one in conditions]
        return np.min(found, axis=0) if found else np.full(CLASSES + 1, float(self.units))

    def bearing_of(self, rows: Ints) -> Floats:
        """Return the same of the trials that stand in some rows, float64 [8]."""
        units = []
        for codes, count in (
            (self.participants[rows], self.participant_count),
            (self.faces[rows], self.face_count),
        ):
            sizes = sizes_by_emotion(self.labels[rows], codes, count)
            units.append(effective_units(sizes))
        return np.minimum(*units)

    def infer(
        self,
        values: Floats,
        bearing: Floats | None = None,
        bounds: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        *,
        of_levels: bool = False,
    ) -> Inference:
        """Return what all draws [..., 1 + all draws] say, with how many of both were drawn.

        `bearing` says how many units bear on a number, and broadcasts to [...]; without it as many
        as the smaller of both samples has. `bounds` and `of_levels` as in `inference.infer`.
        """
        drawn = self._drawn_in(values)[..., np.newaxis, :]
        one = infer([drawn], self.units, self.options, bearing, bounds, of_levels=of_levels)
        one.reason[one.reason == TOO_FEW] = "fewer than two participants or faces to resample"
        if self.units < 2:
            few = "participants" if self.participant_count < 2 else "faces"
            one.reason[...] = f"fewer than two {few} to resample"
        of = (
            f"{self.options.draws} crossed draws of {self.participant_count} "
            f"participants x {self.face_count} faces, two-way variance"
        )
        kinds = (str(known).partition(",")[0] for known in one.method.flat)
        method = np.array([f"{kind}, {of}" for kind in kinds], dtype=object)
        return replace(one, method=method.reshape(one.method.shape))

    def _drawn_in(self, values: Floats) -> Floats:
        """Return the sample and the draws of both, [..., 1 + draws], with the two-way variance."""
        both, people, faces = (values[..., part] for part in self._columns)
        crossed, of_people, of_faces = (_variance(one) for one in (both, people, faces))
        alone = of_people + of_faces
        wanted = np.maximum(alone - (crossed - alone), np.maximum(of_people, of_faces))
        scale = np.sqrt(np.minimum(ratio(wanted, crossed), 1))
        scale = np.where(np.isfinite(scale), scale, 1.0)[..., np.newaxis]
        sample = values[..., :1]
        return np.concatenate([sample, sample + scale * (both - sample)], axis=-1)

    def answered_by(self, who: str, answers: Mapping[str, str]) -> "Trials":
        """Return the same trials as if `who`, a network, had answered each, by its stimulus.

        Raises:
            UsageError: a stimulus has no answer.
        """
        found = self.table["stimulus"].map(dict(answers))
        if found.isna().any():
            missing = self.table["stimulus"][found.isna()].iloc[0]
            raise UsageError(f"{who} has no answer to stimulus {missing}.")
        return replace(self, table=self.table.assign(answer=found), who=who)

    def select(self, conditions: Iterable[str]) -> "Trials":
        """Return the trials of some conditions, drawn for themselves."""
        chosen = self.table["condition"].isin(list(conditions))
        return replace(self, table=self.table[chosen].reset_index(drop=True))

    def sizes_of(self, rows: Ints, index: int) -> dict[str, int]:
        """Return how many trials, participants and faces a number rests on: n, participants, faces.

        Of the trials that stand in some rows those that show emotion `index`, or 7 for all.
        """
        own = rows if index == CLASSES else rows[self.labels[rows] == index]
        return {
            "n": len(own),
            "participants": len(np.unique(self.participants[own])),
            "faces": len(np.unique(self.faces[own])),
        }

    def supports(self, condition: str) -> Ints:
        """Return how many trials of a condition show each emotion, int64 [7]."""
        return np.bincount(self.labels[self.rows(condition)], minlength=CLASSES)


def visible_of(key: str) -> str:
    """Return what can be seen under a condition of a stimulus, "" where no word says it."""
    try:
        return visible_part(key)
    except UsageError:
        return ""


def _codes(names: "pd.Series[str]") -> Ints:
    # Sorted, so that the rows' order doesn't matter.
    codes, _ = pd.factorize(names, sort=True)
    return codes.astype(np.int64)


def _variance(draws: Floats) -> Floats:
    """Return the variance of what is defined of draws [..., draws]; NaN of fewer than two."""
    there = np.isfinite(draws)
    count = there.sum(axis=-1)
    mean = ratio(np.where(there, draws, 0.0).sum(axis=-1), count)
    away = np.where(there, draws - mean[..., np.newaxis], 0.0)
    return ratio((away**2).sum(axis=-1), np.maximum(count - 1, 0))
