"""From a list of labelled pictures to Images: the one way that all pictures in files go.

Each reader of a data set only lists: which picture, which label, which split, which person. Here
pictures become crops, persons become groups, labels that are none of the seven are counted, and a
source without splits is given some.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hemiface.data.images import Images
from hemiface.data.listed import Cut, Listed, ReadOptions
from hemiface.data.pictures import CONVERSION_RULE, read_picture
from hemiface.data.skipping import BadItems
from hemiface.data.splits import carve_validation, deal_splits, with_absent_noted
from hemiface.errors import DamagedError
from hemiface.tables import EMOTIONS, FER2013_SIZE_PX, SPLITS

__all__ = ["ALIGN_RULE", "FACELESS", "Listing", "below", "read_listing"]

ALIGN_RULE = (
    "the face nearest to the middle of the picture, or of the box that the source gives, turned "
    "upright and cut out as hemiface predict does"
)
FACELESS = "shows no face that was found"
"""How the sentence goes about a picture that is left out because it shows none."""


@dataclass(frozen=True, eq=False)
class Listing:
    """What a reader found in a source."""

    name: str
    """Of the source, in sentences."""
    dataset: str
    """Of the data set, in tables."""
    pictures: Sequence[Listed]
    """In the order of the Images."""
    files: Sequence[Path] = ()
    """Every file whose bytes decide the Images, for the hash of the source."""
    notes: Sequence[str] = ()
    """What a user should know, a sentence each."""
    bad: Sequence[tuple[str, str]] = ()
    """Rows or pictures that can't be used: where, and what is wrong, see `BadItems.report`."""


def below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield every file below a folder, folder by folder, each sorted by name.

    Hidden files and folders are left out. Links are followed, but never back up. What neither a
    file nor a folder leads to, such as a link to nowhere, is yielded too.
    """
    above = (*above, folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        if not path.is_dir():
            yield path
        elif path.resolve() not in above:
            yield from below(path, above)


def read_listing(listing: Listing, options: ReadOptions) -> Images:
    """Read the pictures of a listing.

    Without `options.align` each is a crop, converted by `pictures.CONVERSION_RULE`. With it the
    face is cut out by ALIGN_RULE; pictures without one are left out and named, whatever `skip_bad`
    says, because a reader can't mend them. The info counts: `converted`, `other_labels` (images of
    labels that are none of EMOTIONS, left out), `aligned` (pictures with a face, without, with
    several), `persons`.

    Where nothing has a split everything is test, and where train has no validation a tenth of it
    becomes that (`carve_validation`); notes say so.

    Raises:
        DamagedError: a picture or row is bad and `skip_bad` not asked for, nothing is left, only
            some pictures have splits, there is a train split and no test split, or a person is in
            two splits.
    """
    bad = BadItems(options.skip_bad)
    for where, problem in listing.bad:
        bad.report(where, problem)
    others = Counter(one.label for one in listing.pictures if one.label not in EMOTIONS)
    wanted = [one for one in listing.pictures if one.label in EMOTIONS]
    _require_splits(listing, wanted, options.deal)
    read = _Read(wanted, options, bad)
    _require_splits(listing, read.pictures, options.deal)  # again: unreadable pictures are gone now
    persons = [one.person for one in read.pictures]
    info: dict[str, Any] = {
        "skipped": [*bad.sentences, *read.faceless],
        "notes": [*listing.notes, *_notes(listing, read, others, options.deal)],
        **read.counts,
        "other_labels": dict(sorted(others.items())),
        **({"persons": len(set(persons) - {""})} if any(persons) else {}),
    }
    images = Images.build(
        read.pixels,
        labels=[one.label for one in read.pictures],
        splits=[one.split or "test" for one in read.pictures],
        dataset=listing.dataset,
        sources=[one.name for one in read.pictures],
        persons=persons if any(persons) else None,
        extra=_extra(read.pictures),
        info=info,
    )
    if options.deal:
        return deal_splits(images)
    _require_whole_persons(listing, images)
    there = set(images.table["split"])
    if "train" in there and "validation" not in there:
        return carve_validation(images)
    return with_absent_noted(images)


class _Read:
    """The crops of pictures, and what was met on the way."""

    def __init__(self, wanted: Sequence[Listed], options: ReadOptions, bad: BadItems) -> None:
        side = FER2013_SIZE_PX
        # Filled, not stacked: half a million crops lie in memory once.
        pixels = np.empty((len(wanted), side, side), dtype=np.uint8)
        self.pictures: list[Listed] = []
        self.faceless: list[str] = []
        self.converted: Counter[str] = Counter()
        self.several = 0
        align = options.align
        cuts = _converted(wanted, self.converted) if align is None else align(wanted)
        # What shows no face is left out like what is bad, and there is a limit to that.
        left_out = BadItems(skip_bad=True)
        for one, cut in zip(wanted, cuts, strict=True):
            if cut.problem:
                bad.report(one.name, cut.problem)
            elif cut.pixels is None:
                left_out.report(one.name, FACELESS)
            else:
                pixels[len(self.pictures)] = cut.pixels
                self.pictures.append(one)
                self.several += cut.faces > 1
        self.faceless = left_out.sentences
        self.pixels = pixels[: len(self.pictures)]
        self.counts: dict[str, dict[str, int]] = {"converted": dict(self.converted)}
        if align is not None:
            found, without = len(self.pictures), len(self.faceless)
            self.counts["aligned"] = {"found": found, "without": without, "several": self.several}


def _converted(wanted: Sequence[Listed], counts: Counter[str]) -> Iterator[Cut]:
    """Yield each picture as a crop, counting what was converted."""
    for one in wanted:
        content = one.source if isinstance(one.source, Path) else one.source()
        result = read_picture(content, one.box)
        if isinstance(result, str):
            yield Cut(problem=result)
        else:
            counts.update(result[1])
            yield Cut(result[0], faces=1)


def _extra(pictures: Sequence[Listed]) -> dict[str, Any]:
    names = pictures[0].extra
    return {name: [one.extra[name] for one in pictures] for name in names}


def _notes(listing: Listing, read: _Read, others: Counter[str], deal: bool) -> list[str]:
    """Return a sentence for each thing that a user should know of what was read."""
    name, notes = listing.name, []
    if others:
        counts = ", ".join(f"{count:,} {label}" for label, count in sorted(others.items()))
        notes.append(f"{name}: images of other labels than the seven were left out ({counts}).")
    if read.converted:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(read.converted.items()))
        notes.append(f"{name}: pictures were converted ({counts}): {CONVERSION_RULE}.")
    if read.faceless:
        total = len(read.faceless) + len(read.pictures)
        notes.append(
            f"{name}: {len(read.faceless):,} of {total:,} pictures show no face that was found and "
            "were left out, so that scores are of those where one was."
        )
    if read.several:
        notes.append(
            f"{name}: pictures with several faces: {read.several:,}; taken was {ALIGN_RULE}."
        )
    splits = {one.split for one in read.pictures}
    if splits == {""} and not deal:
        notes.append(
            f"{name} has no splits: all {len(read.pictures):,} images are test, to evaluate on; to "
            "train on some, deal splits with --deal."
        )
    elif "train" not in splits:
        notes.append(f"{name} has no train split: it can be evaluated on, not trained on.")
    return notes


def _require_splits(listing: Listing, pictures: Sequence[Listed], deal: bool) -> None:
    """Raise where there is nothing, where only some have splits, or where test is missing."""
    if not pictures:
        raise DamagedError(
            f"{listing.name} has no picture left to read of {', '.join(EMOTIONS)}; check the path "
            "and what lies there."
        )
    if deal:
        return
    missing = next((one for one in pictures if not one.split), None)
    splits = {one.split for one in pictures} - {""}
    if missing is not None and splits:
        raise DamagedError(
            f"{listing.name}: {missing.name} is in no split ({', '.join(SPLITS)}) although others "
            "are; say its split, or deal all of them anew with --deal."
        )
    if "train" in splits and "test" not in splits:
        raise DamagedError(
            f"{listing.name} has no test split, only {', '.join(sorted(splits))}; add it, or deal "
            "splits anew with --deal."
        )


def _require_whole_persons(listing: Listing, images: Images) -> None:
    """Raise where a person is in two splits: what is learnt of a face would be tested on it."""
    if "person" not in images.table:
        return
    known = images.table[images.table["person"] != ""]
    splits = known.groupby("person")["split"].unique()
    torn = splits[splits.map(len) > 1]
    if len(torn):
        raise DamagedError(
            f"{listing.name}: person {torn.index[0]} is in {' and '.join(torn.iloc[0])}, so that "
            "networks would be tested on faces that they know; keep persons in one split, or deal "
            "splits anew with --deal."
        )
