"""What a network answers to stimuli: to the very pictures, as upright face crops."""

from collections.abc import Callable, Iterator
from pathlib import Path

from hemiface.data.stimulus_set import StimulusSet
from hemiface.errors import DamagedError
from hemiface.files import sha256_file
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS
from hemiface.vision.predictor import Predictor

__all__ = ["answers_of"]

OnProgress = Callable[[str, int, int], None]


def answers_of(
    model: str, known: StimulusSet, on_progress: OnProgress = lambda *_: None
) -> dict[str, dict[str, str]]:
    """Return {the model's name: {stimulus: the emotion that it finds most probable}}.

    `model` is a file of `hemiface export` or a shipped model's name. Every stimulus is taken for a
    crop (`no_detect`), and what lies over the face isn't looked for: the network sees what people
    saw. Composites are answered once, whatever half people were to judge.

    Raises:
        UsageError: there is no such model.
        DamagedError: a picture is missing or has changed since the set was made.
    """
    predictor = Predictor(model, no_detect=True, estimate=False, abstain_below=0)
    files = {one.file: one.sha256 for one in known.stimuli}
    answers: dict[str, str] = {}
    faces = predictor.stream(_checked(known.folder, files))
    for done, (file, found) in enumerate(zip(files, faces, strict=True), start=1):
        (row,) = found.rows()
        values = [row[name] for name in PROBABILITY_COLUMNS]
        answers[file] = EMOTIONS[values.index(max(values))]
        on_progress(f"asking {predictor.model.path.stem}", done, len(files))
    by_stimulus = {one.stimulus: answers[one.file] for one in known.stimuli}
    return {predictor.model.path.stem: by_stimulus}


def _checked(folder: Path, files: dict[str, str]) -> Iterator[Path]:
    """Yield each picture's path if it is the one that the manifest speaks of."""
    for file, sha256 in files.items():
        path = folder / file
        if not path.is_file() or sha256_file(path) != sha256:
            raise DamagedError(
                f"{path} is missing or isn't the picture that was made; make the stimuli again."
            )
        yield path
