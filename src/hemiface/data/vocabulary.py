"""Other people's words for emotions and splits, in folders, file names and tables."""

from collections.abc import Mapping

from hemiface.tables import EMOTIONS, SPLITS

__all__ = ["OTHER_LABELS", "SPLIT_NAMES", "SYNONYMS", "emotion_of", "is_class", "split_of"]

SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
"""Other names of emotions, as columns and as labels; upper and lower case don't matter."""

OTHER_LABELS = ("contempt", "none", "uncertain", "non-face", "unknown", "nf")
"""Labels that data sets use beside the seven: images with them are left out and counted."""

SPLIT_NAMES = {
    "training": "train",
    "publictest": "validation",
    "public": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "privatetest": "test",
    "private": "test",
    "testing": "test",
}
"""Other names of splits; upper and lower case don't matter. Any other is named with --split."""

_EMOTION_OF: Mapping[str, str] = {
    **{emotion: emotion for emotion in EMOTIONS},
    **SYNONYMS,
    "afraid": "fear",
    "disgusting": "disgust",
    "contemptuous": "contempt",
    "no-face": "non-face",
    **{other: other for other in OTHER_LABELS},
}


def emotion_of(word: str) -> str | None:
    """Return one of EMOTIONS or of OTHER_LABELS, None where the word is neither.

    >>> emotion_of(" Happiness"), emotion_of("Contempt"), emotion_of("7")
    ('happy', 'contempt', None)
    """
    return _EMOTION_OF.get(word.strip().lower())


def split_of(word: str) -> str | None:
    """Return train, validation or test, None where the word means none of them.

    >>> split_of("Val"), split_of("fold 3")
    ('validation', None)
    """
    name = word.strip().lower()
    return name if name in SPLITS else SPLIT_NAMES.get(name)


def is_class(word: str) -> bool:
    """Whether a folder of this name holds the pictures of a class.

    >>> is_class("sad"), is_class("contempt"), is_class("none")
    (True, True, False)
    """
    # A folder may be called none, unknown or nf for other reasons.
    return emotion_of(word) in (*EMOTIONS, "contempt")
