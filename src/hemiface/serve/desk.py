"""Many requests and one Predictor: who waits, who works, and batches across requests.

Pictures are read, and their faces found and aligned, in a few threads; whoever comes meanwhile
waits for a turn. The crops of all requests that are ready then go through the networks together:
while one batch is computed the next one gathers, so that nobody waits for a batch to fill.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hemiface.errors import DamagedError
from hemiface.files import printable
from hemiface.limits import limits, over, variable
from hemiface.serve.bodies import SentPicture
from hemiface.serve.refusals import ENDING, RefusedError
from hemiface.vision.faces import Faces
from hemiface.vision.photos import read_photo
from hemiface.vision.predictor import PICTURES_AT_ONCE, Predictor
from hemiface.vision.seen import Frame, SeenFace
from hemiface.vision.video.frames import read_frames
from hemiface.vision.video.watching import Watch

__all__ = ["Asked", "Desk"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Asked:
    """How a request wants faces looked at; what is None is as the service was started."""

    hide: str | None = None
    mix: str | None = None
    flip: bool | None = None
    abstain_below: float | None = None

    def changes(self) -> dict[str, Any]:
        """Return what is asked for."""
        return {name: one for name, one in vars(self).items() if one is not None}


@dataclass(eq=False)
class _Waiting:
    """A picture whose faces are found and wait for the networks."""

    asked: Asked
    name: str
    seen: list[SeenFace]
    place: "asyncio.Future[tuple[asyncio.Future[list[Faces]], int]]"
    """Gets the batch that it became a part of, and where it stands there."""


class Desk:
    """Looks at the pictures and videos of requests; for one event loop, between open and close.

    An application that is mounted in another one is opened by nobody: then the first request opens
    the desk, which works until its event loop ends.

    `workers` are the threads that find faces. `on_batch` is called with the number of pictures of
    each batch.
    """

    def __init__(
        self,
        predictor: Predictor,
        workers: int,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._predictor = predictor
        self._workers = workers
        self._on_batch = on_batch
        self._here = 0
        self._waits: set[asyncio.Timeout] = set()
        self._saying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Work until the end of the block."""
        saying = self._begin()
        try:
            yield
        finally:
            saying.cancel()
            with suppress(asyncio.CancelledError):
                await saying
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> asyncio.Task[None]:
        self._is_ending = False
        self._turns = asyncio.Semaphore(self._workers)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        # One thread more: batches never wait for those that find faces.
        self._pool = ThreadPoolExecutor(self._workers + 1, "hemiface")
        self._saying = asyncio.create_task(self._say_all())
        return self._saying

    @property
    def here(self) -> int:
        """How many requests are here."""
        return self._here

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Let a request in until the end of the block.

        Raises:
            RefusedError: 429, as many as are allowed are here.
        """
        if self._here >= limits().requests:
            raise RefusedError(429, f"This request is {over('requests')}; try again in a second.")
        # Done is also one whose event loop has ended.
        if self._saying is None or self._saying.done():
            self._begin()
        self._here += 1
        try:
            yield
        finally:
            self._here -= 1

    def refuse_waiting(self) -> None:
        """Let nobody wait for a turn any more; who has one, or finds one free, goes on."""
        self._is_ending = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(now)

    def with_options(self, asked: Asked) -> Predictor:
        """Return the Predictor as a request wants it.

        Raises:
            UsageError: there is no such condition or mix, or a number is out of range.
        """
        return self._predictor.but(**asked.changes())

    def own_turns(self) -> asyncio.Semaphore:
        """Return how many pictures of one request may work, or wait for a turn, at a time.

        With more of them a request would wait for itself, and be refused for it.
        """
        return asyncio.Semaphore(self._workers)

    async def look(self, picture: SentPicture, asked: Asked, own: asyncio.Semaphore) -> Faces:
        """Return the faces of a picture, or why it has none that are told (`Faces.problem`).

        That is so where it can't be read, takes too long or shows too many. `own` are the turns of
        its request.

        Raises:
            RefusedError: as `_in_turn`.
        """
        try:
            async with own:
                seen, note = await self._in_turn(lambda: self._see(picture.content, asked))
        except DamagedError as error:
            return Faces(picture.name, (), problem=printable(str(error)))
        except _LateError:
            return Faces(picture.name, (), problem=f"Looking at it is {over('request_seconds')}.")
        if len(seen) > limits().request_faces:
            many = f"It shows {len(seen)} faces, {over('request_faces')}."
            return Faces(picture.name, (), problem=many)
        waiting = _Waiting(asked, picture.name, seen, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        batch, place = await waiting.place
        return replace((await asyncio.shield(batch))[place], note=note)

    def _see(self, content: bytes, asked: Asked) -> tuple[list[SeenFace], str]:
        photo = read_photo(content, limits().request_pixels, variable("request_pixels"))
        return self.with_options(asked).see(photo.pixels), photo.note

    async def watch(
        self, path: Path, name: str, asked: Asked, smooth_s: float | None = None
    ) -> AsyncIterator[Faces | str]:
        """Yield the faces of each frame of a video, and why it ended before its end, if it did.

        Raises:
            RefusedError: as `_in_turn`, for the first frame.
            UsageError: `smooth_s` is no positive number of seconds.
        """
        watch = Watch(self.with_options(asked), smooth_s=smooth_s)
        most = limits().request_frames
        frames = enumerate(read_frames(path))
        has_begun = False
        while True:
            try:
                found = await self._in_turn(lambda: _next(frames, watch, name, most))
            except DamagedError as error:
                yield printable(str(error).replace(str(path), name))
                return
            except _LateError:
                yield f"Looking at a frame of it is {over('request_seconds')}."
                return
            except RefusedError as error:
                # The answer has begun: its last line alone can still say it.
                if not has_begun:
                    raise
                yield str(error)
                return
            has_begun = True
            if found is None:
                return
            yield found
            if isinstance(found, str):
                return

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        """Do work in a thread when its turn comes, and give the turn back when it has ended.

        A thread can't be stopped: what takes too long is no longer waited for, but keeps its turn,
        so that no more threads work than there are.

        Raises:
            RefusedError: 429, its turn doesn't come, or 503, and nobody is to wait any more.
            _LateError: it takes too long.
        """
        seconds = limits().request_seconds
        try:
            async with asyncio.timeout(0 if self._is_ending else seconds) as wait:
                self._waits.add(wait)
                await self._turns.acquire()
        except TimeoutError as error:
            if self._is_ending:
                raise RefusedError(503, ENDING) from error
            raise RefusedError(
                429, f"No turn came within {seconds} seconds; try again later."
            ) from error
        finally:
            self._waits.discard(wait)
        working = asyncio.get_running_loop().run_in_executor(self._pool, work)
        working.add_done_callback(lambda _: self._turns.release())
        try:
            return await asyncio.wait_for(asyncio.shield(working), seconds)
        except TimeoutError as error:
            # Nobody asks for its result any more.
            working.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise _LateError from error

    async def _say_all(self) -> None:
        """Ask the networks about whatever waits, batch after batch."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < PICTURES_AT_ONCE and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for asked in dict.fromkeys(one.asked for one in batch):
                await self._say([one for one in batch if one.asked == asked], asked)

    async def _say(self, batch: list[_Waiting], asked: Asked) -> None:
        self._on_batch(len(batch))
        frames = [Frame.without_pixels(one.name) for one in batch]
        predictor = self.with_options(asked)
        saying = asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: predictor.say(frames, [one.seen for one in batch])
        )
        # Whoever waits takes its own out of the batch, or learns what went wrong.
        for place, one in enumerate(batch):
            if not one.place.done():
                one.place.set_result((saying, place))
        await asyncio.wait([saying])


class _LateError(Exception):
    """Nobody waits for it any longer."""


def _next(
    frames: Iterator[tuple[int, Frame]], watch: Watch, name: str, most: int
) -> Faces | str | None:
    """Return the faces of the next frame, None after the last one, a sentence after too many."""
    index, frame = next(frames, (0, None))
    if frame is None:
        return None
    if index >= most:
        return f"Video {name} isn't watched to its end, {over('request_frames')}."
    (faces,) = watch.predict_frames([replace(frame, source=name)])
    # Its rows alone are sent: what waits to be shouldn't hold whole frames.
    return replace(faces, opened=None)
