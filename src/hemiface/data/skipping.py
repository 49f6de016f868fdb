"""What happens to a bad row or picture: it ends the reading, or it is left out and listed."""

from hemiface.errors import DamagedError
from hemiface.files import printable

__all__ = ["BadItems"]


class BadItems:
    """Collects what is left out under `skip_bad`; without it the first bad item is an error.

    `sentences` ends up in `Images.info["skipped"]`, one sentence naming file and row for each.
    """

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.sentences: list[str] = []

    def report(self, where: str, problem: str) -> None:
        """Note that the row or file `where` has `problem`; DamagedError unless bad is skipped.

        >>> BadItems(skip_bad=False).report("fer2013.csv, row 3 (line 5)", "has 2,303 pixels")
        Traceback (most recent call last):
        ...
        hemiface.errors.DamagedError: fer2013.csv, row 3 (line 5) has 2,303 pixels; mend it, or \
leave it out with --skip-bad.
        """
        if not self.skip_bad:
            raise DamagedError(f"{where} {problem}; mend it, or leave it out with --skip-bad.")
        self.sentences.append(printable(f"{where} {problem}."))
