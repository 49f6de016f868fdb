"""Models x conditions -> the Predictions table; nothing else writes one."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hemiface.data.groups import leaked
from hemiface.data.images import Images
from hemiface.data.parts import keep_larger_table_or_parts, write_table_or_parts
from hemiface.data.rows import pick_rows
from hemiface.errors import UsageError
from hemiface.files import hash_json, sha256_file
from hemiface.networks.classifiers import Classifier, described, opened
from hemiface.networks.network import resolve_device
from hemiface.networks.views import require_crop, views
from hemiface.occlusion.conditions import Condition, condition, hide, hiding, image_seeds, mirror
from hemiface.occlusion.face_lines import FaceLines, FindLandmarks, hide_by_lines, lines_of
from hemiface.provenance import Mark
from hemiface.tables import (
    PROBABILITY_COLUMNS,
    SPLITS,
    Predictions,
    check_predictions,
)

__all__ = [
    "EvaluationOptions",
    "evaluate",
    "evaluate_by",
    "mark",
    "predict_views",
]

log = logging.getLogger(__name__)

OnCell = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Which images are scored, under what, and how.

    What a study's config says of it (EvaluateConfig) holds for all its models; this is one call's.

    Raises:
        UsageError: a condition or split is unknown, none is named, or the crop's size is
            impossible.
    """

    conditions: tuple[str, ...] = ("full", "upper", "lower", "left", "right")
    """What is hidden, in the order of the table."""
    splits: tuple[str, ...] = ("test",)
    """Whose images are scored."""
    rows: str | Path | None = None
    """A CSV file whose column `row` lists rows of the source: only these images are scored."""
    flip: bool = False
    """Average with the mirrored picture of the same visible pixels, for models whose conditions are
    closed under mirroring (a left specialist never saw the other side alone: no flipped view)."""
    crop_px: int = 0
    """Average five crops of so many pixels (ten with `flip`), see `networks.views`; 0 for none."""
    mirrored: bool = False
    """Flip every picture before anything is hidden, so that `left` hides what was on the right: the
    control of `sides`, a table of its own whose facts say `mirrored`."""
    landmarks: FindLandmarks | None = None
    """Hide the face's own halves (see `occlusion.face_lines`) by these landmarks of the uncovered
    pictures, which are asked for once."""
    names: tuple[str, ...] = ()
    """What the networks are called, in their order, such as two of one name; () for their own."""
    device: str = "auto"
    """Where Bundles run; ONNX files always run on the CPU."""
    batch_size: int = 256
    """Images per forward pass."""

    def __post_init__(self) -> None:
        require_crop(self.crop_px)
        for what, given in (("condition", self.conditions), ("split", self.splits)):
            _require_some(what, given)
        unknown = [name for name in self.splits if name not in SPLITS]
        if unknown:
            raise UsageError(f"Split {unknown[0]!r} is unknown; choose from {', '.join(SPLITS)}.")
        _ = self.hidden

    @property
    def hidden(self) -> list[Condition]:
        """The conditions, each once: full@mean and full hide the same, nothing."""
        return list({one.key: one for one in map(hiding, self.conditions)}.values())


def evaluate(
    bundles: Sequence[str | Path],
    images: Images,
    *,
    conditions: Iterable[str] = EvaluationOptions.conditions,
    splits: Iterable[str] = EvaluationOptions.splits,
    rows: str | Path | None = None,
    flip: bool = False,
    crop_px: int = 0,
    mirrored: bool = False,
    landmarks: FindLandmarks | None = None,
    names: Iterable[str] = EvaluationOptions.names,
    device: str = "auto",
    batch_size: int = 256,
    out: str | Path | None = None,
    on_cell: OnCell | None = None,
) -> Predictions:
    """Return the Predictions of every Bundle under every condition; write them to `out`.

    The keywords are the fields of EvaluationOptions, which says what each means; everything else is
    said, and done, by `evaluate_by`.
    """
    # One list for type checkers and editors; everything behind it takes the object.
    options = EvaluationOptions(
        conditions=tuple(conditions), splits=tuple(splits), rows=rows, flip=flip, crop_px=crop_px,
        mirrored=mirrored, landmarks=landmarks, names=tuple(names), device=device,
        batch_size=batch_size,
    )  # fmt: skip
    return evaluate_by(options, bundles, images, out=out, on_cell=on_cell)


def evaluate_by(
    options: EvaluationOptions,
    bundles: Sequence[str | Path],
    images: Images,
    *,
    out: str | Path | None = None,
    replace: bool = True,
    on_cell: OnCell | None = None,
) -> Predictions:
    """Return the Predictions of every Bundle under every condition; write them to `out`.

    `bundles` may also name ONNX files that `networks.export` wrote (`*.onnx`, always run on the
    CPU); their model IDs name the precision too, as in `full-int8-seed0`, or are the names of
    `hemiface models list`, as in `people-int8-seed0`, or else `options.names`.

    A row per image, condition and model. The facts describe the models and hold the hash of all
    that decides the table. With landmarks the table has a column `halves`: `face`, or `fallback`
    where no landmarks came and the picture's middle stood in; its facts say `halves` and the number
    of `fallbacks`. `on_cell(done, total, text)` is called after each model x condition. Without
    `replace` a larger table stays where it is (see `tables.keep_larger_table`).

    Raises:
        UsageError: a split is empty, two Bundles have the same model ID, as `rows.pick_rows`, or a
            larger table lies at `out`.
        DamagedError: a Bundle or the list of rows can't be read.
    """
    _require_some("Bundle", bundles)
    scored = _Scored.of(images, options)
    models = described([Path(one) for one in bundles], options.names)
    if out is not None:
        rows = len(models) * len(options.hidden) * len(scored.base)
        keep_larger_table_or_parts(out, rows, replace=replace)
    device = torch.device(resolve_device(options.device))
    # Before the work: afterwards the files may be others, or gone.
    made_from = mark(bundles, images, options, rows_hash=scored.rows_hash, lines=scored.lines)
    cells = []
    for model, path in zip(models, bundles, strict=True):
        classifier = opened(path, device)
        flip = options.flip and _mirrors_itself(model["conditions"])
        if options.flip and not flip:
            log.info("%s is a specialist of one side: no flipped view", model["model"])
        for one in options.hidden:
            cell = scored.base.assign(condition=one.key, model=model["model"])
            cell[list(PROBABILITY_COLUMNS)] = predict_views(
                classifier,
                scored.hidden(one),
                flip=flip,
                crop_px=options.crop_px,
                batch_size=options.batch_size,
            )
            cells.append(cell)
            if on_cell:
                total = len(models) * len(options.hidden)
                on_cell(len(cells), total, f"{model['model']} on {one.key}")
    table = pd.concat(cells, ignore_index=True)
    check_predictions(table)
    predictions = Predictions(table, _facts(images, options, scored, models, made_from))
    if out is not None:
        write_table_or_parts(predictions, out)
    return predictions


@dataclass(frozen=True, eq=False)
class _Scored:
    """The images that are scored, as every model gets them."""

    base: pd.DataFrame
    """The columns of the table that all its cells share."""
    pixels: npt.NDArray[np.uint8]
    seeds: npt.NDArray[np.uint64]
    lines: FaceLines | None
    """The faces' own, where these are what is hidden by."""
    picked: dict[str, Any] | None
    """What there is to tell about the list of rows."""

    @classmethod
    def of(cls, images: Images, options: EvaluationOptions) -> "_Scored":
        """Return what `options` choose of `images`."""
        chosen, picked = (None, None)
        if options.rows is not None:
            chosen, picked = pick_rows(images, options.rows)
        wanted = _rows(images, options.splits, chosen)
        base = wanted.table[["image", "dataset", "split", "label", "group"]].assign(
            leaked=leaked(images.table)[_positions(images, wanted)]
        )
        pixels, lines = wanted.pixels, None
        if options.landmarks is not None:
            lines = lines_of(options.landmarks(pixels), *pixels.shape[1:])
            base["halves"] = lines.words
        if options.mirrored:
            pixels = pixels[:, :, ::-1]
            # The mirrored lines of the picture, not those found in its mirror image.
            lines = lines.mirrored() if lines else None
        return cls(base, pixels, image_seeds(wanted.table["image"]), lines, picked)

    @property
    def rows_hash(self) -> str | None:
        """The hash of the list of rows."""
        return self.picked["hash"] if self.picked else None

    def hidden(self, one: Condition) -> npt.NDArray[np.uint8]:
        """Return the faces uint8 [n, 48, 48] under a condition."""
        faces = np.ascontiguousarray(self.pixels)
        if self.lines is None:
            return hide(faces, one, self.seeds)
        return hide_by_lines(faces, one, self.lines, self.seeds)


def _facts(
    images: Images,
    options: EvaluationOptions,
    scored: _Scored,
    models: list[dict[str, Any]],
    made_from: Mark,
) -> dict[str, Any]:
    """Return what the table's file says of itself."""
    lines = scored.lines
    return {
        "models": models,
        "conditions": [one.key for one in options.hidden],
        "splits": list(options.splits),
        "rows": scored.picked,
        "flip": options.flip,
        "crop_px": options.crop_px,
        "mirrored": options.mirrored,
        "halves": "image" if lines is None else "face",
        "fallbacks": 0 if lines is None else int((~lines.found).sum()),
        "fingerprint": made_from.fingerprint,
        "data": {key: value for key, value in images.info.items() if key != "skipped"},
        "skipped": len(images.info.get("skipped", [])),
    }


def predict_views(
    classifier: Classifier,
    faces: npt.NDArray[np.uint8],
    *,
    flip: bool = False,
    crop_px: int = 0,
    batch_size: int = 256,
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 [n, 7] for uint8 faces [n, 48, 48], hidden before.

    With `flip`, the mean over the hidden picture and its mirror image: the same pixels stay
    visible, so the mirrored view of a left-masked face is a right-masked one. With `crop_px`, the
    mean over five crops of either, enlarged: `hemiface.networks.views` says what that does to
    hidden halves.
    """
    answers = [
        classifier.predict(view, batch_size) for view in views(faces, flip=flip, crop_px=crop_px)
    ]
    total: npt.NDArray[np.float32] = sum(answers[1:], start=answers[0])
    return total / np.float32(len(answers))


def mark(
    bundles: Sequence[str | Path],
    images: Images,
    options: EvaluationOptions,
    *,
    rows_hash: str | None = None,
    lines: FaceLines | None = None,
) -> Mark:
    """Return what decides the Predictions.

    `rows_hash` is that of the list of rows and `lines` are those of the pictures that are scored,
    where `options` name a list or landmarks: both are known once they were looked at.
    """
    inputs = {
        "bundles": [sha256_file(path) for path in bundles],
        "data": images.info.get("data_sha256"),
        "groups": hash_json(images.table[["image", "group"]].to_csv(index=False)),
        "conditions": [one.key for one in options.hidden],
        "splits": list(options.splits),
        "flip": options.flip,
        "mirrored": options.mirrored,
        "crop_px": options.crop_px,
        "rows": rows_hash,
        "halves": "image" if lines is None else _hash_lines(lines),
        # Tables of before know nothing of names.
        **({"names": list(options.names)} if options.names else {}),
    }
    return Mark.of(inputs, __name__)


def _hash_lines(lines: FaceLines) -> str:
    parts = (lines.crossing, lines.down, lines.found)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _require_some(what: str, given: Sequence[Any]) -> None:
    if not given:
        raise UsageError(f"No {what} is named; evaluation needs at least one.")


def _rows(images: Images, splits: tuple[str, ...], chosen: npt.NDArray[np.bool_] | None) -> Images:
    for name in splits:
        if not (images.table["split"] == name).any():
            raise UsageError(f"The data has no {name} images; choose another split or source.")
    wanted = images.table["split"].isin(splits).to_numpy()
    if chosen is not None:
        wanted = wanted & chosen
        for name in splits:
            if not (wanted & (images.table["split"] == name).to_numpy()).any():
                raise UsageError(f"No row of the list is a {name} image; choose another split.")
    return images.subset(wanted)


def _positions(images: Images, wanted: Images) -> npt.NDArray[np.int64]:
    """Return where the rows of `wanted` stand in `images`."""
    known = pd.Index(images.table["image"])
    index: npt.NDArray[np.int64] = known.get_indexer(pd.Index(wanted.table["image"]))
    return index


def _mirrors_itself(conditions: list[str]) -> bool:
    trained = {condition(key) for key in conditions}
    return {mirror(one) for one in trained} == trained
