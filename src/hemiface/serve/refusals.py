"""The one error of a request: a sentence, as everywhere, and the status of its answer."""

from hemiface.errors import HemifaceError

__all__ = ["RefusedError"]


class RefusedError(HemifaceError):
    """A request that isn't answered; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
