"""What `hemiface occlude --set` does around a set of stimuli: the detector, what is printed."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hemiface.cli.printing import print_json, say, show, show_progress
from hemiface.errors import escaped, first_names
from hemiface.occlusion.face_lines import FindLandmarks
from hemiface.vision.stimulus_sets.make import SetOptions, make_set
from hemiface.vision.stimulus_sets.order import Dealing

__all__ = ["make"]


def make(
    images: Sequence[Path],
    out: Path,
    options: SetOptions,
    dealing: Dealing,
    *,
    labels: Path | None,
    align: bool,
    landmarks: FindLandmarks | None,
    most_pixels: int | None,
    as_json: bool,
) -> None:
    """Make the set, print how many stimuli of each condition there are, and where.

    Raises:
        UsageError, DamagedError: as `make_set`.
        HemifaceError: faces are to be found, and the networks for that were never pulled.
    """
    detector = None
    if align:
        from hemiface.vision.finding.crop_landmarks import default_detector

        detector = default_detector()
    with show_progress() as on_progress:
        made = make_set(
            [str(one) for one in images],
            out,
            options,
            dealing,
            labels=labels,
            detector=detector,
            landmarks=landmarks,
            most_pixels=most_pixels,
            on_note=lambda sentence: print(f"hemiface: {escaped(sentence)}", file=sys.stderr),
            on_progress=on_progress,
        )
    counts = Counter(one.condition for one in made.stimuli)
    if as_json:
        files = [str(path) for path in made.files]
        print_json({"folder": str(out), "stimuli": counts, "trials": made.trials, "files": files})
        return
    rows = [(condition, f"{count:,}") for condition, count in counts.items()]
    show("Stimuli", ["condition", "number"], rows, numbers=["number"])
    nameless = [one.picture for one in made.stimuli if not one.emotion]
    if nameless:
        say(
            f"The emotion of {len(nameless):,} stimuli isn't known, those of "
            f"{first_names(dict.fromkeys(nameless))}: nothing in them can be right or wrong. Name "
            "it with --labels, or by folders."
        )
    if any(one.halves == "fallback" for one in made.stimuli):
        say(
            "Where no face was found the picture's own halves were taken (column halves: fallback)."
        )
    if made.trials:
        say(f"{made.trials:,} trials of {dealing.participants} participants")
    say(out)
