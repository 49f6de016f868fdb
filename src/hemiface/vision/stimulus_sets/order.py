"""Who sees which stimuli in which order: counterbalanced, in blocks, repeatable from a seed."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hemiface.data.stimulus_set import Stimulus
from hemiface.errors import UsageError

__all__ = ["DESIGNS", "Dealing", "deal"]

DESIGNS = ("all", "latin")
"""all: everybody sees every stimulus. latin: everybody sees each picture once, in another version
than the one before them, so that as many people as there are versions see everything once, and
everybody about as many of each version."""


@dataclass(frozen=True, kw_only=True)
class Dealing:
    """How stimuli are dealt out."""

    participants: int = 0
    """How many people there will be; 0 deals nothing out."""
    blocks: int = 1
    """Parts of a participant's trials, each with about as many of every condition."""
    design: str = "all"
    """One of DESIGNS."""
    seed: int = 0
    """Of the orders."""

    def __post_init__(self) -> None:
        if self.participants < 0 or self.blocks < 1 or self.design not in DESIGNS:
            raise UsageError(
                "There must be 0 or more participants, 1 or more blocks and a design of "
                f"{' or '.join(DESIGNS)}, got {self.participants}, {self.blocks} and "
                f"{self.design!r}."
            )


def deal(stimuli: Sequence[Stimulus], dealing: Dealing) -> list[dict[str, Any]]:
    """Return a row of TRIAL_COLUMNS for each trial of each participant, in order.

    Within a block the order is random, but the same picture never comes twice in a row where there
    is such an order; of composites, which show two pictures, as seldom as is found.

    Raises:
        UsageError: there are more blocks than trials, or `latin` is asked for composites.
    """
    if dealing.design == "latin" and any(one.other_picture for one in stimuli):
        raise UsageError(
            "A composite shows two pictures, so that nobody would see each once: deal composites "
            "with --design all, or make a set without them."
        )
    rows: list[dict[str, Any]] = []
    for participant in range(dealing.participants):
        random = np.random.default_rng([dealing.seed, participant])
        own = list(stimuli) if dealing.design == "all" else list(_latin(stimuli, participant))
        if dealing.blocks > len(own):
            raise UsageError(f"{len(own)} trials can't be parted into {dealing.blocks} blocks.")
        number = 0
        for block, some in enumerate(_blocks(own, dealing.blocks, random), start=1):
            for one in _apart([some[i] for i in random.permutation(len(some))]):
                number += 1
                known = {"participant": participant + 1, "block": block, "trial": number}
                rows.append({**known, "stimulus": one.stimulus, "file": one.file, "cue": one.cue})
    return rows


def _latin(stimuli: Sequence[Stimulus], participant: int) -> Iterator[Stimulus]:
    """Yield one version of each picture: the next one for the next participant and picture.

    Pictures are counted on from emotion to emotion, so that each participant sees about as many of
    each version, and of each emotion's pictures too.
    """
    versions: dict[str, list[Stimulus]] = {}
    for one in stimuli:
        versions.setdefault(one.picture, []).append(one)
    for place, own in enumerate(sorted(versions.values(), key=lambda own: own[0].emotion)):
        yield own[(participant + place) % len(own)]


def _blocks(
    own: Sequence[Stimulus], blocks: int, random: np.random.Generator
) -> list[list[Stimulus]]:
    """Return the stimuli in blocks whose sizes, as well as conditions, differ by 1 at most."""
    shuffled = [own[i] for i in random.permutation(len(own))]
    shuffled.sort(key=lambda one: one.condition)
    return [shuffled[block::blocks] for block in range(blocks)]


def _apart(order: list[Stimulus]) -> list[Stimulus]:
    """Return the trials without the same picture twice in a row, as far as that can be had.

    Where exchanging trials doesn't do it, they are laid out anew, each time one of the pictures
    that most trials are left of: if there is an order of single pictures at all, that is one.
    A composite shows two pictures.
    """
    shown = [frozenset({one.picture, one.other_picture} - {""}) for one in order]
    places = list(range(len(order)))
    if len(set(shown)) < 2:
        return order

    def meets(at: int) -> bool:
        """Return whether a trial shows a picture that the one before it shows."""
        return 0 < at < len(places) and bool(shown[places[at]] & shown[places[at - 1]])

    for at in range(1, len(places)):
        if not meets(at):
            continue
        beside = shown[places[at - 1]]
        for other in (*range(at + 1, len(places)), *range(at - 1)):
            if shown[places[other]] & beside:
                continue
            places[at], places[other] = places[other], places[at]
            if not any(map(meets, (at, at + 1, other, other + 1))):
                break
            places[at], places[other] = places[other], places[at]
        else:
            # One that can't be exchanged is enough: the others would only take time.
            break
    met = sum(map(meets, range(len(places))))
    if met:
        exchanged, places = places, _most_left_first(shown)
        if sum(map(meets, range(len(places)))) >= met:
            places = exchanged
    return [order[one] for one in places]


def _most_left_first(shown: Sequence[frozenset[str]]) -> list[int]:
    """Return places in an order in which each shows what most are left of and the last didn't."""
    counts = Counter(picture for pictures in shown for picture in pictures)
    left: dict[frozenset[str], deque[int]] = {}
    for place, pictures in enumerate(shown):
        left.setdefault(pictures, deque()).append(place)
    places: list[int] = []
    last: frozenset[str] = frozenset()
    while left:
        free = [pictures for pictures in left if not pictures & last] or list(left)
        # Of equals the one that comes first in the order that is there.
        last = min(free, key=lambda one: (-max((counts[p] for p in one), default=0), left[one][0]))
        places.append(left[last].popleft())
        counts.subtract(last)
        if not left[last]:
            del left[last]
    return places
