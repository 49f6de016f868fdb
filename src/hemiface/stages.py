"""The stages of a study: what depends on what, what is done already, what runs now.

    data -> full -> upper, lower, ..., any -> predictions -> report

Every stage knows the hash of all that decides its result (inputs, config, code), so a study that
was killed goes on where it was and one that is done answers at once.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hemiface.config import Config, as_plain, to_toml
from hemiface.data.cache import prepare
from hemiface.data.images import Images
from hemiface.data.listed import AlignFaces
from hemiface.documents import entry, read_json, undamaged
from hemiface.errors import UsageError
from hemiface.files import printable, sha256_file, sweep, write_json, write_text
from hemiface.locks import LOCK_FILE, locked
from hemiface.occlusion.conditions import condition
from hemiface.provenance import Mark, environment
from hemiface.report import page
from hemiface.stats.ensembles import join
from hemiface.tables import read_predictions, write_predictions

__all__ = ["OnProgress", "Until", "study"]

log = logging.getLogger(__name__)

Until = Literal["models", "predictions", "report"]
OnProgress = Callable[[str, int, int], None]
"""Called with (what runs, steps done, steps in all)."""

_PRODUCTS = ("images.parquet", "pixels.npy", "predictions.parquet", "report.html", "stages.json")
_OF_A_MODEL = (
    "bundle.safetensors",
    "history.csv",
    "predictions.parquet",
    "checkpoint/last.pt",
    "checkpoint/previous.pt",
    LOCK_FILE,
)


def study(
    config: Config,
    *,
    out: str | Path | None = None,
    fresh: bool = False,
    device: str = "auto",
    until: Until = "report",
    trust_code: bool = False,
    on_progress: OnProgress | None = None,
    align: AlignFaces | None = None,
) -> Path:
    """Run the whole study and return its folder (`runs/<name>` unless `out` says otherwise).

    Stages that are done and unchanged are not run again; `fresh` removes what an earlier study
    noted as its own in the folder and starts over. `until` names the last thing that is made, as
    on a machine whose GPU is lent for minutes: the same call without it goes on from there. With
    `trust_code` networks and predictions made from the same config and data by other code are kept:
    whoever says so knows that the code's changes don't matter to them. What was kept so is written
    into stages.json. `align` finds the faces where the config's `data.align` asks for it; the
    command line gives `hemiface.vision.finding.aligned_pictures.AlignedPictures`.

    Raises:
        UsageError: no data is named, faces are to be aligned and nothing is given that does it, or
            another process is writing into the folder.
        HemifaceError: a stage failed; those before it stay done.
    """
    if not config.data.source:
        raise UsageError(
            "No data: name it with --data PATH (or --data phantom: for rendered faces)."
        )
    if config.data.align and align is None:
        raise UsageError(
            "data.align asks for faces to be found, and nothing is given that finds them; start "
            "the study from the command line, or pass align=AlignedPictures()."
        )
    # A misspelt name would otherwise show after hours of training.
    hidden = (*config.generalist_conditions, *config.selection_conditions)
    for key in (*config.models, *hidden, *config.evaluate.conditions):
        if key != "any":
            condition(key)
    folder = Path(out) if out else Path("runs") / config.name
    with locked(folder), _log_file(folder / "log.txt"):
        if fresh:
            _remove_products(folder, config)
        for place in (folder, folder / "figures", *(folder / "models").glob("*")):
            sweep(place)
        book = _Book(folder, config, trust_code)
        images = book.run("data", None, lambda: _prepare(config, folder, align))
        bundles = _train_all(config, images, folder, book, device, on_progress)
        if until != "models":
            _evaluate(config, images, bundles, folder, book, device, on_progress)
        if until == "report":
            _report(config, folder, book)
    return folder


def _prepare(config: Config, folder: Path, align: AlignFaces | None) -> Images:
    return prepare(
        config.data.source,
        folder,
        labels=config.data.labels or None,
        skip_bad=config.data.skip_bad,
        near_duplicates=config.data.near_duplicates,
        protocol=config.data.protocol,
        align=align if config.data.align else None,
        deal=config.data.deal,
    )


def _train_all(
    config: Config,
    images: Images,
    folder: Path,
    book: "_Book",
    device: str,
    on_progress: OnProgress | None,
) -> dict[Path, str]:
    """Train the baseline of each seed, then everything that starts or learns from it.

    Returns each Bundle's file and the name of its model.
    """
    from hemiface.networks.train import fit, task

    bundles = {}
    # The generalist before the specialists, which may start from it.
    names = sorted(config.models, key=lambda name: (name != "full", name != "any"))
    for seed in config.seeds:
        done: dict[str, Path] = {}
        for name in names:
            start = "full" if name == "any" else config.finetune_from
            job = task(config, name, seed, init=done.get(start), baseline=done.get("full"))
            place = folder / "models" / job.model_id

            def on_step(done: int, total: int, what: str = job.model_id) -> None:
                if on_progress:
                    on_progress(f"training {what}", done, total)

            bundle = book.run(
                job.model_id,
                job.mark(images),
                lambda job=job, place=place, on_step=on_step: fit(  # type: ignore[misc]
                    job, images, place, device=device, on_step=on_step
                ),
                keeps=place / "bundle.safetensors",
                is_of=lambda job=job, place=place: job.made(  # type: ignore[misc]
                    place / "bundle.safetensors", images
                ),
            )
            done[name] = bundle
            bundles[bundle] = name
    return bundles


def _evaluate(
    config: Config,
    images: Images,
    bundles: dict[Path, str],
    folder: Path,
    book: "_Book",
    device: str,
    on_progress: OnProgress | None,
) -> None:
    from hemiface.networks.evaluate import EvaluationOptions, evaluate_by, mark

    options = config.evaluate
    present = set(images.table["split"])
    splits = tuple(split for split in options.splits if split in present)
    target = folder / "predictions.parquet"
    for_specialists = options.specialist_conditions or options.conditions
    chosen = {
        bundle: EvaluationOptions(
            conditions=options.conditions if name in ("full", "any") else for_specialists,
            splits=splits,
            flip=options.flip,
            crop_px=options.crop_px,
            device=device,
            batch_size=options.batch_size,
        )
        for bundle, name in bundles.items()
    }
    cells = sum(len(one.conditions) for one in chosen.values())
    marks = {bundle: mark([bundle], images, one) for bundle, one in chosen.items()}
    whole = Mark.joined(marks.values())

    def score(bundle: Path, before: int) -> Path:
        def on_cell(done: int, _: int, what: str) -> None:
            if on_progress:
                on_progress(f"evaluating {what}", before + done, cells)

        part = bundle.with_name(target.name)
        evaluate_by(chosen[bundle], [bundle], images, out=part, on_cell=on_cell)
        return part

    def run() -> Path:
        # A table for each network first: many networks under many conditions take long.
        parts, before = [], 0
        for bundle in bundles:
            part = book.run(
                f"{bundle.parent.name} predictions",
                marks[bundle],
                lambda bundle=bundle, before=before: score(bundle, before),  # type: ignore[misc]
                keeps=bundle.with_name(target.name),
            )
            parts.append(part)
            before += len(chosen[bundle].conditions)
        joined = join([read_predictions(part) for part in parts])
        write_predictions(joined.with_facts(fingerprint=whole.fingerprint), target)
        return target

    book.run("predictions", whole, run, keeps=target)


def _report(config: Config, folder: Path, book: "_Book") -> None:
    target = folder / "report.html"
    templates = sorted((Path(page.__file__).parent / "templates").glob("*"))
    mirrored = folder / "mirrored.parquet"
    inputs = {
        "predictions": sha256_file(folder / "predictions.parquet"),
        "statistics": as_plain(config.statistics),
        "config": (folder / "config.toml").read_text(encoding="utf-8"),
        "templates": [sha256_file(path) for path in templates],
        "mirrored": sha256_file(mirrored) if mirrored.is_file() else "",
    }
    made_from = Mark.of(inputs, page.__name__)
    book.run(
        "report",
        made_from,
        lambda: page.build(folder),
        keeps=target,
        beside=lambda: [*folder.glob("*.csv"), *folder.glob("*.txt"), *folder.glob("figures/*")],
    )


class _Book:
    """Which stages of a run folder are done, made from what and in what time."""

    def __init__(self, folder: Path, config: Config, trust_code: bool) -> None:
        self.folder = folder
        self.trust_code = trust_code
        self.path = folder / "stages.json"
        self.stages: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            self.stages = _read_stages(self.path)
        if any("code" not in one for name, one in self.stages.items() if name != "data"):
            log.warning(
                "%s was begun by an earlier version of hemiface, whose code counts as another: %s",
                folder,
                "networks that came from this config and data are kept"
                if trust_code
                else "everything is made again; --trust-code keeps networks that came from this "
                "config and data",
            )
        write_text(folder / "config.toml", to_toml(config))

    def run(
        self,
        name: str,
        mark: Mark | None,
        work: Callable[[], Any],
        keeps: Path | None = None,
        is_of: Callable[[], bool] = lambda: False,
        beside: Callable[[], Iterable[Path]] = lambda: (),
    ) -> Any:
        """Return `keeps` if the stage is done with the same mark, else do the work and note it.

        A stage without a mark looks after its own cache and always runs. Where code is trusted a
        stage is also kept whose inputs are the same, or of which `is_of` says so. `keeps` and those
        of the files `beside` it that the work writes are its products; if one of them isn't as it
        was written, the stage runs.
        """
        known = self.stages.get(name, {})
        if mark is not None and keeps is not None and keeps.exists() and self._whole(name, keeps):
            if known.get("fingerprint") == mark.fingerprint:
                log.info("%s: done before (%.0f s)", name, known["seconds"])
                return keeps
            if self._is_other_code(known, mark, is_of):
                if self.trust_code:
                    log.info("%s: kept, although other code made it", name)
                    seconds = known.get("seconds", 0.0)
                    products = [keeps, *(self.folder / one for one in known.get("products", ()))]
                    self._note(name, mark, seconds, products, trusted=known.get("code", ""))
                    return keeps
                log.info("%s: made by other code, so it is made again", name)
        log.info("%s: starts", name)
        started, before = time.perf_counter(), {one: _state(one) for one in beside()}
        result = work()
        seconds = time.perf_counter() - started
        # A resumed training took longer than its last part; the bundle knows the whole.
        written = [one for one in beside() if before.get(one) != _state(one)]
        products = [] if keeps is None else [keeps, *written]
        self._note(name, mark, round(max(seconds, _trained_seconds(keeps)), 1), products)
        log.info("%s: done in %.0f s", name, seconds)
        return result

    def _is_other_code(self, known: dict[str, Any], mark: Mark, is_of: Callable[[], bool]) -> bool:
        """Return whether a stage differs from what is wanted in nothing but its code."""
        return known["inputs"] == mark.inputs if "inputs" in known else is_of()

    def _whole(self, name: str, keeps: Path) -> bool:
        """Return whether a stage's products are as it wrote them; put `keeps` aside if it isn't.

        What it wrote beside that is made again in its place. Stages of before noted no hashes.
        """
        products = self.stages.get(name, {}).get("products", {})
        changed = [one for one in products if _sha256_if_there(self.folder / one) != products[one]]
        if not changed:
            return True
        log.warning(
            "%s: %s changed since it was made, so it is made again", name, ", ".join(changed)
        )
        if keeps.relative_to(self.folder).as_posix() in changed:
            aside = keeps.with_name(f"{keeps.stem}.changed{keeps.suffix}")
            keeps.replace(aside)
            log.warning("%s: what was there is kept as %s", name, aside)
        return False

    def _note(
        self, name: str, mark: Mark | None, seconds: float, products: Iterable[Path], **more: str
    ) -> None:
        made_from = {} if mark is None else {**asdict(mark), "fingerprint": mark.fingerprint}
        self.stages[name] = {
            **made_from,
            "seconds": seconds,
            "products": {
                one.relative_to(self.folder).as_posix(): sha256_file(one)
                for one in sorted(set(products))
                if one.is_file()
            },
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        write_json(self.path, self.stages)
        self._write_environment()

    def _write_environment(self) -> None:
        write_json(
            self.folder / "environment.json",
            {
                **environment(),
                "command": _command(),
                "times_s": {name: stage["seconds"] for name, stage in self.stages.items()},
                "finished": max(stage["finished"] for stage in self.stages.values()),
            },
        )


def _read_stages(path: Path) -> dict[str, dict[str, Any]]:
    mend = (
        "remove it and run the study with --trust-code, which keeps networks that came from its "
        "config and data"
    )
    with undamaged(path, mend):
        stages: dict[str, dict[str, Any]] = read_json(path)
        for name in stages:
            stage = entry(stages, name, dict)
            entry(stage, "seconds", float)
            entry(stage, "finished", str)
            for key in {"fingerprint", "inputs", "code"} & stage.keys():
                entry(stage, key, str)
            # Stages of before noted no products.
            for product in entry({"products": {}, **stage}, "products", dict):
                entry(stage["products"], product, str)
        stages.items()
    return stages


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes of a file when it is written anew."""
    known = path.stat()
    return known.st_ino, known.st_mtime_ns, known.st_size


def _sha256_if_there(path: Path) -> str:
    return sha256_file(path) if path.is_file() else ""


def _trained_seconds(bundle: Path | None) -> float:
    if bundle is None or bundle.suffix != ".safetensors":
        return 0.0
    from hemiface.networks.network import Bundle

    return float(Bundle.load(bundle).provenance.get("training_s", 0.0))


def _command() -> str:
    """Return the command line without the folder that the program lies in."""
    program = Path(sys.argv[0]).name
    # What `python -m hemiface` is called.
    words = ["hemiface" if program == "__main__.py" else program, *sys.argv[1:]]
    return printable(" ".join(words))


def _remove_products(folder: Path, config: Config) -> None:
    """Remove what a study's own record names, and nothing else that may lie in the folder.

    A folder without the record of a study is nobody's run: nothing there is removed. No link is
    followed to another place.

    Raises:
        UsageError: the networks or figures are a link to another folder.
    """
    if not (folder / "config.toml").is_file():
        return
    for name in ("models", "figures"):
        if (folder / name).is_symlink():
            raise UsageError(
                f"{folder / name} is a link to another folder, which --fresh doesn't empty; remove "
                "the link, or name another run folder."
            )
    path = folder / "stages.json"
    stages = _read_stages(path) if path.is_file() else {}
    products = [name for stage in stages.values() for name in stage.get("products", {})]
    # A training that was killed is not in the record yet.
    started = [f"{name}-seed{seed}" for name in config.models for seed in config.seeds]
    trained = {*started, *(Path(one).parts[1] for one in products if one.startswith("models/"))}
    parts = [f"models/{one}/{part}" for one in sorted(trained) for part in _OF_A_MODEL]
    for name in (*products, *parts, *_PRODUCTS):
        product = folder / name
        inside = folder in product.parents and ".." not in product.parts
        if not inside or product.parent.is_symlink():
            continue
        product.unlink(missing_ok=True)
        for above in (product.parent, product.parent.parent):
            if above != folder and folder in above.parents and above.is_dir():
                with suppress(OSError):  # Something of somebody else's lies there.
                    above.rmdir()


class _LogFile(logging.FileHandler):
    """A log that loses lines where the disk is full: what is written next says so, and better."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Say nothing; logging would print a traceback for every line."""


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Add everything that hemiface logs to `path`, with times."""
    handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("hemiface")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
