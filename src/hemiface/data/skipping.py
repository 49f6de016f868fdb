"""What happens to a bad row or picture: it ends the reading, or it is left out and listed."""

from hemiface.errors import DamagedError
from hemiface.files import printable
from hemiface.limits import limits, over

__all__ = ["BadItems"]


class BadItems:
    """Collects what is left out under `skip_bad`; without it the first bad item is an error.

    So is one more than Limits.left_out: where next to nothing can be read, nothing is right.

    `sentences` ends up in `Images.info["skipped"]`, one sentence naming file and row for each.
    """

    def __init__(self, skip_bad: bool) -> None:
        self.skip_bad = skip_bad
        self.sentences: list[str] = []
        self._most = limits().left_out

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
        if len(self.sentences) >= self._most:
            raise DamagedError(f"{where} {problem}, and what is left out is {over('left_out')}.")
        self.sentences.append(printable(f"{where} {problem}."))
