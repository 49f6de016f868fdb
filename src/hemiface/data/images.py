"""Images: what every source of pictures becomes, one table and one uint8 array beside it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.data.groups import joined_groups
from hemiface.errors import DamagedError, UsageError, first_line
from hemiface.files import atomic_path, printable
from hemiface.inputs import require_file
from hemiface.tables import FER2013_SIZE_PX, SPLITS, check_images, read_table, write_table

__all__ = ["PIXELS_FILE", "TABLE_FILE", "Images"]

TABLE_FILE = "images.parquet"
PIXELS_FILE = "pixels.npy"


@dataclass(frozen=True, eq=False)
class Images:
    """Grey 48 x 48 face crops with their labels and splits.

    `table` has the columns of the Images table (see `hemiface.tables`), then `source` (where the
    image came from: `fer2013.csv:34737` counts data rows from 0, `train/angry/x.jpg` is relative
    to the source folder), `source_row` (int64, the same row; -1 where the source has no rows),
    `person` where the source says whom an image shows ("" where not), and any `votes_*`. Its index
    is 0..n-1. `pixels` is uint8 [n, 48, 48] in the same order, possibly read-only. `info` is
    JSON-able: `source`, `form`, `source_sha256`, `skipped` (one sentence for each picture left out)
    and whatever the reader adds; `data_sha256` is always derived here, from pixels, splits and
    labels, so equal hashes mean that models saw the same data.

    A table that is not a valid Images table raises DamagedError, an array of another dtype or
    shape UsageError.
    """

    table: pd.DataFrame
    pixels: npt.NDArray[np.uint8]
    info: dict[str, Any]

    def __post_init__(self) -> None:
        side = FER2013_SIZE_PX
        if self.pixels.dtype != np.uint8 or self.pixels.shape != (len(self.table), side, side):
            raise UsageError(
                f"Images takes uint8 [{len(self.table)}, {side}, {side}] for its "
                f"{len(self.table)} rows, got {self.pixels.dtype} {list(self.pixels.shape)}."
            )
        check_images(self.table)
        object.__setattr__(self, "info", {**self.info, "data_sha256": self._data_sha256()})

    @classmethod
    def build(
        cls,
        pixels: npt.NDArray[np.uint8],
        *,
        labels: Sequence[str] | npt.NDArray[Any],
        splits: Sequence[str] | npt.NDArray[Any],
        dataset: str,
        sources: Sequence[str],
        source_rows: npt.ArrayLike | None = None,
        persons: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make IDs, hashes and exact-copy groups for `pixels` (uint8 [n, 48, 48]).

        `image` is the first 16 hexadecimal digits of the SHA-256 of the image's bytes; further
        exact copies get `-2`, `-3`, ... in the order given. `group` is the ID of the first exact
        copy. `labels` and `splits` are names, one per image; `source_rows` is -1 throughout if not
        given; `extra` holds further columns. `persons` say whom each image shows, "" where nobody
        knows: they become column `person`, and all images of a person one group.
        """
        hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
        first = pd.Series([digest[:16] for digest in hashes], dtype="str")
        copy = first.groupby(first).cumcount()
        image = first.where(copy == 0, first + "-" + (copy + 1).astype("str"))
        group, known = first, dict(extra or {})
        if persons is not None:
            known["person"] = pd.Series([printable(one) for one in persons], dtype="str")
            group = image.iloc[joined_groups(first, known["person"])].reset_index(drop=True)
        table = pd.DataFrame(
            {
                "image": image,
                "dataset": printable(dataset),
                "split": pd.Series(splits, dtype="str"),
                "label": pd.Series(labels, dtype="str"),
                "group": group,
                "sha256": pd.Series(hashes, dtype="str"),
                "source": pd.Series([printable(one) for one in sources], dtype="str"),
                "source_row": np.int64(-1) if source_rows is None else np.asarray(source_rows),
                **known,
            }
        )
        base = {"source": dataset, "form": dataset, "source_sha256": "", "skipped": []}
        return cls(table, pixels, {**base, **(info or {})})

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.table)

    @property
    def is_dealt(self) -> bool:
        """Whether some of the splits aren't the source's own: dealt, or validation carved out."""
        return any(map(self.info.get, ("dealt", "validation_carved")))

    def subset(self, which: npt.ArrayLike | Iterable[bool]) -> Self:
        """Return the images that `which` (bool [n], or indices) picks, in that order."""
        picked = np.asarray(which)
        index = np.flatnonzero(picked) if picked.dtype == bool else picked.astype(np.int64)
        if picked.dtype == bool and picked.shape != (len(self),):
            raise UsageError(f"A mask for {len(self)} images has {picked.size} entries.")
        return type(self)(
            self.table.iloc[index].reset_index(drop=True), self.pixels[index], self.info
        )

    def split(self, name: str) -> Self:
        """Return the images of split `name` (train, validation or test; else UsageError)."""
        if name not in SPLITS:
            raise UsageError(f"Split {name!r} is unknown; choose from {', '.join(SPLITS)}.")
        return self.subset((self.table["split"] == name).to_numpy())

    def write(self, folder: str | Path) -> None:
        """Write `images.parquet` and `pixels.npy` into `folder`, each whole or not at all.

        The table goes last and the old one first, so a folder with a table always has its pixels.
        """
        target = Path(folder)
        (target / TABLE_FILE).unlink(missing_ok=True)
        with atomic_path(target / PIXELS_FILE) as partial:
            np.save(partial, np.ascontiguousarray(self.pixels), allow_pickle=False)
        write_table(self.table, target / TABLE_FILE, self.info)

    @classmethod
    def read(cls, folder: str | Path, *, mmap_mode: Literal["r", "c"] | None = None) -> Self:
        """Read what `write` left in `folder`; `mmap_mode` "r" or "c" maps the pixels, see np.load.

        DamagedError is raised where a file is missing or unreadable, or where pixels, splits or
        labels are not what was written.
        """
        target = Path(folder)
        table = read_table(target / TABLE_FILE)
        # attrs would be copied with every operation on the table.
        info = table.attrs.pop("hemiface")
        try:
            require_file(target / PIXELS_FILE, hint="prepare the data again")
            # Mapped even where it is to be in memory: a header that claims more than the file has
            # would be allocated before anybody compares.
            pixels = np.load(target / PIXELS_FILE, mmap_mode=mmap_mode or "r", allow_pickle=False)
        except (EOFError, LookupError, OSError, OverflowError, SyntaxError, TokenError, TypeError,
                ValueError) as error:  # fmt: skip
            raise DamagedError(
                f"{target / PIXELS_FILE} can't be read ({first_line(error)}); prepare the data "
                "again."
            ) from error
        side = FER2013_SIZE_PX
        if pixels.dtype != np.uint8 or pixels.shape != (len(table), side, side):
            raise DamagedError(
                f"{target / PIXELS_FILE} holds {pixels.dtype} {list(pixels.shape)}, but "
                f"{TABLE_FILE} has {len(table)} rows; prepare the data again."
            )
        images = cls(table, pixels if mmap_mode else np.array(pixels), info)
        if images.info["data_sha256"] != info.get("data_sha256"):
            raise DamagedError(
                f"{target}: pixels, splits or labels changed since they were written (SHA-256 "
                "differs); prepare the data again."
            )
        return images

    def _data_sha256(self) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        for column in ("split", "label"):
            digest.update("\n".join([column, *self.table[column], ""]).encode())
        return digest.hexdigest()
