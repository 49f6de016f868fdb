"""The one error of a request: a sentence, as everywhere, and the status of its answer."""

from hemiface.errors import HemifaceError

__all__ = ["ENDING", "RefusedError"]

ENDING = "The service is ending; ask again."
"""What is told, with 503, to who isn't answered any more."""


class RefusedError(HemifaceError):
    """A request that isn't answered; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
