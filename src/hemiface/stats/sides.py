"""Which side of the face carries more: one side hidden against the other, with a mirror control.

`difference` is the score with the left side hidden minus the score with the right side hidden.
Above 0, hiding the left costs less: the right side of the picture carries more. Sides are the
picture's; in a picture that isn't mirrored, its left shows the person's right.

Two questions, never mixed: `robustness` hides a side from a network that never saw it hidden;
`available information` compares networks trained for it, the generalist with itself or the `left`
specialist on left-hidden faces with the `right` specialist on right-hidden ones. A specialist of
one side is not compared with itself: it is at home under one of the two conditions only.

A difference can come from faces or from the network, which may by chance of training read one side
better. The mirror control tells them apart: in mirrored pictures what belongs to faces changes its
sign, what belongs to the network stays. With d for pictures as they are and m for mirrored ones,
`face` is (d - m) / 2 and `network` (d + m) / 2. It can't tell what a network *learned* from a side
that carried more in training: such a habit counts as the network's, so `face` is rather too small.

A network trained with horizontal flips learned both sides as one. It can show that the pictures'
halves differ in what they give away, but nothing that is learned about one side, and `warning`
says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.errors import UsageError
from hemiface.occlusion.conditions import condition, mirror
from hemiface.stats.inference import Inference, infer, paired_members, runs_of
from hemiface.stats.metrics import ratio
from hemiface.stats.sample import Aligned, Cell, Sample
from hemiface.stats.significance import detectable, holm
from hemiface.tables import EMOTIONS, Predictions

__all__ = ["SIDES_COLUMNS", "UNDETECTABLE", "has_sides", "sides"]

Floats = npt.NDArray[np.float64]

SIDES_COLUMNS = (
    "question",
    "model",
    "seed",
    "left_hidden",
    "right_hidden",
    "part",
    "measure",
    "emotion",
    "value_left_hidden",
    "value_right_hidden",
    "difference",
    "low",
    "high",
    "se",
    "df",
    "detectable",
    "p",
    "p_holm",
    "margin",
    "p_equivalence",
    "verdict",
    "image_side",
    "person_side",
    "n",
    "groups",
    "method",
    "reason",
    "warning",
)
UNDETECTABLE = "no difference, however large, would be found"
"""The reason of a row whose `detectable` would pass what a difference of shares can be."""
_MEASURES = ("accuracy", "probability")
_OVERALL = "all"
_ROWS = (_OVERALL, *EMOTIONS)
_OTHER = {"left": "right", "right": "left", "": ""}
_LEVEL = 0.05


@dataclass(frozen=True)
class _Contrast:
    """Two conditions that mirror each other, and the model IDs that are scored under each."""

    question: str
    model: str
    seed: str
    left: str
    right: str
    left_models: tuple[str, ...]
    right_models: tuple[str, ...]
    paired: bool


@dataclass(frozen=True)
class _Sums:
    """A table's images as sums over groups: `values` [rows, 2 measures], and how to add them up.

    `weights` float64 [groups, 1 + draws]; `counts` [8, 1 + draws]: images of each of _ROWS; `known`
    keeps what `means` gave.
    """

    aligned: Aligned
    values: Floats
    weights: Floats
    counts: Floats
    known: dict[tuple[str, str], Floats] = field(default_factory=dict)

    def means(self, model: str, key: str) -> Floats:
        """Return [2 measures, 8 rows, 1 + draws] of one cell, which several contrasts may need."""
        if (model, key) not in self.known:
            self.known[model, key] = self._means(model, key)
        return self.known[model, key]

    def _means(self, model: str, key: str) -> Floats:
        values = self.values[self.aligned.at(model, key)]
        places = (self.aligned.labels + 1) * self.aligned.group_count + self.aligned.groups
        shape = len(_ROWS), self.aligned.group_count
        size = shape[0] * shape[1]
        sums = np.stack([np.bincount(places, one, size).reshape(shape) for one in values.T])
        sums[:, 0] = sums.sum(axis=1)
        return ratio(sums @ self.weights, self.counts)


def sides(
    sample: Sample | Predictions, mirrored: Sample | Predictions | None = None
) -> pd.DataFrame:
    """Return left-hidden minus right-hidden, per emotion and over all images, with a verdict.

    `sample` holds conditions that mirror each other (`left` and `right`, `upper-left` and
    `upper-right`, ...); `mirrored` is that of the same models on the same pictures flipped
    (`evaluate(..., mirrored=True)`), which may have fewer conditions: only these are compared then.
    Columns SIDES_COLUMNS:

    - question, model, seed, left_hidden, right_hidden: what is compared (see the module).
    - part: `as shown`, and with `mirrored` also `mirrored`, `face` and `network`. In `mirrored`
      left and right are those of the flipped picture.
    - measure: `accuracy` (the emotion's recall; the accuracy for `all`) or `probability` (mean
      probability given to the true emotion, which varies less).
    - difference to reason: as in `all_pairs`; `detectable`: the difference that such a study finds
      four times of five at p < .05, before Holm's correction (see `significance.detectable`); NaN
      where it would be above 1, which no difference is: `reason` says UNDETECTABLE then.
      Holm's family: the seven emotions of one contrast, part and measure; `all` stands alone.
    - verdict (of `face`: of what mirroring assigns to it, no more): `left carries more` or
      `right carries more` (p_holm < .05), `alike` (TOST: within
      +-margin, p < .05 uncorrected), `undecided`. A side that carries more, but by less than the
      margin, is marked `, by less than the margin`.
    - image_side, person_side: which side carries more, "" if none is known to; the person's side is
      right only for photos that weren't mirrored, and "" for what belongs to the network.
    - warning: why the row can't be read as a statement about sides, "" elsewhere.

    Raises:
        UsageError: no two conditions mirror each other, `mirrored` isn't a table of mirrored
            pictures or lacks cells, or as `all_pairs`.

    """
    sample = Sample.of(sample)
    facts = sample.whole.facts
    if facts.get("mirrored"):
        raise UsageError(
            "These predictions are of mirrored pictures; they serve as a control only."
        )
    control = None if mirrored is None else _control(mirrored, sample)
    if control is not None:
        controlled = sample.whole.table["condition"].isin(control.conditions)
        sample = Sample.of(sample.whole.select(controlled), sample.protocol, sample.options)
    plain = _sums(sample)
    contrasts = list(_contrasts(sample))
    flipped = None if control is None else _mirrored_sums(control, plain, _cells(contrasts))
    flips = {str(one["model"]): one.get("flips") for one in sample.whole.models}
    rows: list[dict[str, Any]] = []
    for contrast in contrasts:
        models = contrast.left_models + contrast.right_models
        warning = _warning([flips.get(one) for one in models], bool(facts.get("flip")))
        for part, (left, right) in _parts(contrast, plain, flipped).items():
            both = [left - right] if contrast.paired else [left, -right]
            # Of all images, then of each emotion.
            own = np.roll(sample.emotion_groups, 1)
            bearing = np.roll(sample.emotion_bearing, 1)
            one = infer(both, sample.group_count, sample.options, bearing, (-1.0, 1.0))
            values = tuple(side[..., 0].mean(axis=-1) for side in (left, right))
            found = _rows(contrast, part, values, one, plain, own)
            rows += [row | {"margin": sample.options.margin, "warning": warning} for row in found]
    return pd.DataFrame(rows, columns=list(SIDES_COLUMNS))


def has_sides(conditions: Iterable[str]) -> bool:
    """Return whether two of the conditions mirror each other."""
    return bool(_mirror_pairs(dict.fromkeys(conditions)))


def _rows(
    contrast: _Contrast,
    part: str,
    values: tuple[Floats, ...],
    one: Inference,
    sums: _Sums,
    groups: npt.NDArray[np.int64],
) -> Iterator[dict[str, Any]]:
    # A half difference or half sum of two contrasts has no score of its own under either side.
    left, right = (
        values if part in ("as shown", "mirrored") else [np.full_like(values[0], np.nan)] * 2
    )
    smallest = detectable(one.se, one.df)
    beyond = smallest > 1
    smallest = np.where(beyond, np.nan, smallest)
    reason = np.where(beyond & (one.reason == ""), UNDETECTABLE, one.reason)
    for measure, name in enumerate(_MEASURES):
        p_holm = np.concatenate([one.p[measure, :1], holm(one.p[measure, 1:])])
        for place, emotion in enumerate(_ROWS):
            at = measure, place
            verdict, side = _verdict(one.value[at], p_holm[place], one.p_equivalence[at])
            person = "" if part == "network" else side if part == "mirrored" else _OTHER[side]
            yield one.row(at) | {
                "question": contrast.question,
                "model": contrast.model,
                "seed": contrast.seed,
                "left_hidden": contrast.left,
                "right_hidden": contrast.right,
                "part": part,
                "measure": name,
                "emotion": emotion,
                "value_left_hidden": left[at],
                "value_right_hidden": right[at],
                "detectable": smallest[at],
                "reason": reason[at],
                "p_holm": p_holm[place],
                "verdict": verdict,
                "image_side": side,
                "person_side": person,
                "n": int(sums.counts[place, 0]),
                "groups": int(groups[place]),
            }


def _verdict(difference: float, p: float, p_equivalence: float) -> tuple[str, str]:
    """Return what a difference means, and the side of the picture that carries more ("" if none).

    >>> _verdict(0.06, 0.001, 0.9)
    ('right carries more', 'right')
    """
    alike = p_equivalence < _LEVEL
    if p < _LEVEL:
        side = "right" if difference > 0 else "left"
        return f"{side} carries more" + (", by less than the margin" if alike else ""), side
    return ("alike" if alike else "undecided"), ""


def _parts(
    contrast: _Contrast, plain: _Sums, flipped: _Sums | None
) -> dict[str, tuple[Floats, Floats]]:
    """Return (left hidden, right hidden) per part, each [2 measures, 8 rows, seeds, 1 + draws]."""

    def both(sums: _Sums) -> tuple[Floats, Floats]:
        left = [sums.means(model, contrast.left) for model in contrast.left_models]
        right = [sums.means(model, contrast.right) for model in contrast.right_models]
        return np.stack(left, axis=-2), np.stack(right, axis=-2)

    left, right = both(plain)
    found = {"as shown": (left, right)}
    if flipped is not None:
        left_m, right_m = both(flipped)
        found["mirrored"] = left_m, right_m
        found["face"] = (left - left_m) / 2, (right - right_m) / 2
        found["network"] = (left + left_m) / 2, (right + right_m) / 2
    return found


def _sums(sample: Sample) -> _Sums:
    aligned, values, labels = sample.aligned, sample.values, sample.labels
    measures = np.column_stack(
        [values.argmax(axis=1) == labels, values[np.arange(len(labels)), labels]]
    )
    weights = sample.weights.astype(np.float64)
    counts = np.zeros((len(_ROWS), aligned.group_count))
    np.add.at(counts, (aligned.labels + 1, aligned.groups), 1.0)
    counts[0] = counts.sum(axis=0)
    return _Sums(aligned, measures.astype(np.float64), weights, counts @ weights)


def _control(mirrored: Sample | Predictions, sample: Sample) -> Sample:
    """Return the sample of the mirrored pictures, selected and drawn as the other is."""
    whole = mirrored.whole if isinstance(mirrored, Sample) else mirrored
    if not whole.facts.get("mirrored", False):
        raise UsageError(
            "The mirror control needs predictions of mirrored pictures; "
            "make them with evaluate --mirrored."
        )
    return Sample.of(whole, sample.protocol, sample.options)


def _cells(contrasts: Sequence[_Contrast]) -> set[Cell]:
    """Return the (model ID, condition) that the contrasts are made of."""
    return {
        (model, key)
        for one in contrasts
        for key, models in ((one.left, one.left_models), (one.right, one.right_models))
        for model in models
    }


def _mirrored_sums(control: Sample, plain: _Sums, needed: set[Cell]) -> _Sums:
    sums = _sums(control)
    missing = needed - set(sums.aligned.cells)
    same = np.array_equal(plain.aligned.labels, sums.aligned.labels)
    if missing or not same or not np.array_equal(plain.aligned.groups, sums.aligned.groups):
        raise UsageError(
            "The mirrored predictions lack models, conditions or images of the others; "
            "evaluate both with the same Bundles, conditions and splits."
        )
    return sums


def _contrasts(sample: Sample) -> list[_Contrast]:
    pairs, names = _mirror_pairs(sample.conditions), sample.names
    if not pairs:
        raise UsageError(
            "No two conditions mirror each other, such as left and right; evaluate with both."
        )
    present = set(sample.cells)
    known = list(dict.fromkeys(names["name"]))
    trained = {str(one["name"]): set(one.get("conditions", [])) for one in sample.whole.models}
    found = []
    for left, right in pairs:
        for name in known:
            seen = trained.get(name, set()) & {left, right} or {name} & {left, right}
            if len(seen) == 1:
                continue  # A specialist of one side is at home under one of the two only.
            for_both = len(seen) == 2 or name == "any"
            question = "available information" if for_both else "robustness"
            for seed, models in runs_of(names, [name]):
                one = _Contrast(question, name, seed, left, right, models, models, True)
                found.append(one)
        if left in known and right in known:
            for seed, first, second, paired in paired_members(names, left, right):
                question, label = "available information", f"{left} and {right}"
                ids = tuple(first), tuple(second)
                found.append(_Contrast(question, label, seed, left, right, *ids, paired))
    return [
        one
        for one in found
        if all((model, one.left) in present for model in one.left_models)
        and all((model, one.right) in present for model in one.right_models)
    ]


def _mirror_pairs(keys: Sequence[str] | dict[str, None]) -> list[tuple[str, str]]:
    """Return (hides more of the left, its mirror image) for the conditions that have one here.

    >>> _mirror_pairs(["full", "right", "left", "only-upper-left", "only-upper-right", "diagonal"])
    [('left', 'right'), ('only-upper-right', 'only-upper-left')]
    """
    found = []
    for key in keys:
        one = condition(key)
        leaning = sum(1 if quadrant.endswith("left") else -1 for quadrant in one.hidden)
        if leaning > 0 and mirror(one).key in keys:
            found.append((key, mirror(one).key))
    return found


def _warning(flips: list[Any], averaged: bool) -> str:
    """Return why a contrast says nothing about sides; `flips` per network, None if unknown."""
    if averaged:
        return "evaluated with the mirrored view averaged in: left and right are mixed"
    if any(one is True for one in flips):
        return "trained with flips: this network learned both sides as one"
    if any(one is None for one in flips):
        return (
            "not known whether trained with flips: this network may have learned both sides as one"
        )
    return ""
