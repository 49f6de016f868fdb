"""A study from its config to its report: in this process, or as jobs of their own.

    data -> full -> upper, lower, ..., any -> predictions -> report

Every stage knows the hash of all that decides its result (inputs, config, code), so a study that
was killed goes on where it was and one that is done answers at once. It is the same stages, noted
in the same way, that `studies.plan` describes and either this process or its jobs carry out.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hemiface.config import Cluster, Config, load, to_toml
from hemiface.data.cache import prepare
from hemiface.data.images import Images
from hemiface.data.listed import AlignFaces
from hemiface.errors import HemifaceError, MissingError, UsageError
from hemiface.files import sweep, write_text
from hemiface.locks import LOCK_FILE, locked
from hemiface.occlusion.conditions import condition, hidden_mask, hiding
from hemiface.studies.book import STAGES_FILE, Book, OnProgress, Until, is_inside, read_stages
from hemiface.studies.fan_out import Fan, OnJobs, fan_out
from hemiface.studies.started import end_strays, in_turn, progress_file, remove_jobs

__all__ = ["OnProgress", "Until", "carry_out", "study"]

_CONFIG_FILE = "config.toml"
_RESULTS = ("predictions.parquet", "report.html")
_PRODUCTS = ("images.parquet", "pixels.npy", *_RESULTS, STAGES_FILE)
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
    on: str | None = None,
    jobs: int | None = None,
    cluster: Cluster | None = None,
    on_jobs: OnJobs | None = None,
) -> Path:
    """Run the whole study and return its folder (`runs/<name>` unless `out` says otherwise).

    Stages that are done and unchanged are not run again; `fresh` removes what an earlier study
    noted as its own in the folder and starts over. `until` names the last thing that is made, as
    on a machine whose GPU is lent for minutes: the same call without it goes on from there. With
    `trust_code` networks and predictions made from the same config and data by other code are kept:
    whoever says so knows that the code's changes don't matter to them. What was kept so is written
    into stages.json. `align` finds the faces where the config's `data.align` asks for it; the
    command line gives `hemiface.vision.finding.aligned_pictures.AlignedPictures`.

    With `on` (`local`, `ray`, `ray://HOST:PORT` or `slurm`) this process prepares the data and
    every other stage is a job, `jobs` of them at a time, with what `cluster` asks for;
    `on_jobs` is told how all of them are doing. The results are those of a study in one process
    that computes with as many threads.

    Raises:
        UsageError: no data is named, faces are to be aligned and nothing is given that does it,
            another process is writing into the folder, or files lie there that no study wrote
            under the names of a study's.
        HemifaceError: a stage failed; those before it stay done, and where stages are jobs, those
            that don't need it are done, too.
    """
    _require_sound(config, align, until)
    folder = Path(out) if out else Path("runs") / config.name
    fan = None if on is None else Fan.of(on, cluster or Cluster(), jobs, folder)
    _require_free(folder)
    with locked(folder), _log_file(folder / "log.txt"):
        is_same = _config_of(folder) == to_toml(config)
        taken_up = end_strays(folder, on if is_same and not fresh else None)
        if fresh:
            _remove_products(folder, config)
        for place in (folder, folder / "figures", *(folder / "models").glob("*")):
            sweep(place)
        book = Book(folder, trust_code=trust_code)
        images = book.always("data", lambda: _prepare(config, folder, align))
        if until == "data":
            return folder
        from hemiface.studies.plan import Plan

        plan = Plan(
            config=config, images=images, folder=folder, device=device, on_progress=on_progress
        )
        if fan is not None:
            fan_out(fan, plan, book, until, taken_up=taken_up, on_jobs=on_jobs)
            return folder
        for stage in plan.left(book, until):
            book.run(stage)
    return folder


def carry_out(
    config: Config,
    stage: str,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    trust_code: bool = False,
) -> Path:
    """Carry out one stage of a study whose data are prepared, and note it; return the run folder.

    This is what a job does. Any number of processes may do so at once, each for another stage; of
    two for the same the second waits and then finds it done. What the stage needs has to be done.

    Raises:
        UsageError: the folder is another study's or has no data yet, the study has no such stage,
            or what it needs isn't done.
        HemifaceError: the stage failed.
    """
    from hemiface.studies.plan import Plan, stage_names

    names = stage_names(config)
    if stage not in names:
        raise UsageError(f"The study has no stage {stage!r}; these are {', '.join(names)}.")
    folder = Path(out) if out else Path("runs") / config.name
    _require_config(folder, config)
    with in_turn(folder, stage) as place:
        # Again: it may have changed while somebody else was at work.
        _require_config(folder, config)
        plan = Plan(
            config=config, images=Images.read(folder), folder=folder, device=device,
            on_progress=progress_file(place), is_one_process=False,
        )  # fmt: skip
        wanted = plan.stage(stage)
        book = Book(folder, trust_code=trust_code, job=stage)
        noted = book.stages.get("data", {}).get("inputs")
        if noted and noted != plan.images.info.get("prepare_key"):
            raise UsageError(f"{stage} needs data, not prepared for this study in {folder} yet.")
        missing = [one.name for one in plan.needed(wanted) if not book.is_current(one)]
        if missing:
            raise UsageError(f"{stage} needs {', '.join(missing)}, not done in {folder} yet.")
        book.run(wanted)
    return folder


def _require_free(folder: Path) -> None:
    """Raise unless a folder is a study's, or holds nothing that a study would replace."""
    known = _config_of(folder)
    if (folder / STAGES_FILE).is_file() or (known and _is_written(folder / _CONFIG_FILE, known)):
        return
    theirs = [one for one in (_CONFIG_FILE, *_RESULTS) if os.path.lexists(folder / one)]
    if theirs:
        raise UsageError(
            f"{folder} holds {' and '.join(theirs)} and no study, which would replace "
            f"{'it' if len(theirs) == 1 else 'them'}; name another folder with --out."
        )


def _is_written(path: Path, text: str) -> bool:
    """Return whether a config is as a study writes it, which what people write never is."""
    try:
        return to_toml(load(path)) == text
    except HemifaceError:
        return False


def _require_config(folder: Path, config: Config) -> None:
    """Raise unless the study in a folder is the one that `config` describes."""
    known = _config_of(folder)
    if known != to_toml(config):
        raise UsageError(
            f"{folder} holds {'another study' if known else 'no study'}; start this one there "
            "with --until data first, or name its folder with --out."
        )


def _require_sound(config: Config, align: AlignFaces | None, until: Until) -> None:
    """Raise for what would otherwise show after hours of work."""
    if not config.data.source:
        raise UsageError(
            "No data: name it with --data PATH (or --data phantom: for rendered faces)."
        )
    if config.data.align and align is None:
        raise UsageError(
            "data.align asks for faces to be found, and nothing is given that finds them; start "
            "the study from the command line, or pass align=AlignedPictures()."
        )
    if until == "report" and "test" not in config.evaluate.splits:
        raise UsageError(
            "evaluate.splits must contain test for the report; add it, or stop before with "
            "--until predictions."
        )
    # A misspelt name would otherwise show after hours of training.
    hidden = (*config.generalist_conditions, *config.selection_conditions)
    specialists = [name for name in config.models if name not in ("longer", "any")]
    for key in (*specialists, *hidden, *config.evaluate.conditions):
        hiding(key)
    for key in (*specialists, *(config.generalist_conditions if "any" in config.models else ())):
        # Raises for what hides other pixels in each image, which can't be trained on.
        hidden_mask(condition(key), 1, 1)
    _require_trainable(config)


def _require_trainable(config: Config) -> None:
    """Raise unless the network, and a teacher that is named, can do what each recipe asks."""
    try:
        from hemiface.networks.network import Bundle, build
        from hemiface.networks.suitable import require_suitable
    except ModuleNotFoundError as error:
        raise HemifaceError(
            f"A study needs {error.name}; pip install 'hemiface[train]'."
        ) from error

    network = build(config.model, pretrained=False)
    for recipe in (config.recipe(name, fine_tuned=name != "full") for name in config.models):
        require_suitable(network, recipe)
        if (teacher := recipe.distill.path) is not None:
            if not teacher.exists():
                raise MissingError(
                    f"The teacher's Bundle {teacher} doesn't exist; check distill.teacher."
                )
            require_suitable(Bundle.load(teacher).network(), recipe)


def _config_of(folder: Path) -> str:
    """Return the config of the study in a folder, "" where there is none."""
    with suppress(FileNotFoundError, UnicodeDecodeError):
        return (folder / _CONFIG_FILE).read_text(encoding="utf-8")
    return ""


def _prepare(config: Config, folder: Path, align: AlignFaces | None) -> tuple[Images, str]:
    """Prepare the data, and write down of which config the folder is now; return what it is of.

    Not before: if the data can't be read, what lies there stays that of the config beside it.
    """
    images = prepare(
        config.data.source,
        folder,
        labels=config.data.labels or None,
        skip_bad=config.data.skip_bad,
        near_duplicates=config.data.near_duplicates,
        protocol=config.data.protocol,
        align=align if config.data.align else None,
        deal=config.data.deal,
    )
    write_text(folder / _CONFIG_FILE, to_toml(config))
    return images, str(images.info["prepare_key"])


def _remove_products(folder: Path, config: Config) -> None:
    """Remove what a study's own record names, and nothing else that may lie in the folder.

    A folder without the record of a study is nobody's run: nothing there is removed. No link is
    followed to another place.

    Raises:
        UsageError: the networks or figures are a link to another folder.
    """
    if not (folder / _CONFIG_FILE).is_file():
        return
    for name in ("models", "figures"):
        if (folder / name).is_symlink():
            raise UsageError(
                f"{folder / name} is a link to another folder, which --fresh doesn't empty; remove "
                "the link, or name another run folder."
            )
    remove_jobs(folder)
    path = folder / STAGES_FILE
    stages = read_stages(path) if path.is_file() else {}
    products = [name for stage in stages.values() for name in stage.get("products", {})]
    # A training that was killed is not in the record yet.
    started = [f"{name}-seed{seed}" for name in config.models for seed in config.seeds]
    noted = (Path(one).parts for one in products)
    trained = {*started, *(two[1] for two in noted if len(two) > 1 and two[0] == "models")}
    parts = [f"models/{one}/{part}" for one in sorted(trained) for part in _OF_A_MODEL]
    for name in (*products, *parts, *_PRODUCTS):
        product = folder / name
        if product.is_dir() or not is_inside(product, folder):
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
