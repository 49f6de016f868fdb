"""The stages of a study and what each of them needs.

    data -> full -> upper, lower, ..., any -> predictions of each -> predictions -> report

A stage that runs in a job of its own is the same stage as in a study in one process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hemiface.config import Config, as_plain
from hemiface.data.images import Images
from hemiface.files import sha256_file
from hemiface.provenance import Mark
from hemiface.studies.book import Book, OnProgress, Stage, Until

if TYPE_CHECKING:
    from hemiface.networks.evaluate import EvaluationOptions
    from hemiface.networks.task import Task

__all__ = ["Plan", "stage_names"]

_JOINED = "predictions"
_REPORT = "report"
_EVALUATION = " predictions"
"""Behind the name of a network."""

_BUNDLE = "bundle.safetensors"
_TABLE = "predictions.parquet"


def stage_names(config: Config) -> list[str]:
    """Return the names of all stages after the data, in an order in which they can be made."""
    models = [_model_id(name, seed) for name, seed in _models(config)]
    return [*models, *map(_evaluation_name, models), _JOINED, _REPORT]


def _models(config: Config) -> list[tuple[str, int]]:
    """Return the name and seed of each network, those that others start or learn from first."""
    # The generalist before the specialists, which may start from it.
    names = sorted(config.models, key=lambda name: (name != "full", name != "any"))
    return [(name, seed) for seed in config.seeds for name in names]


def _model_id(name: str, seed: int) -> str:
    return f"{name}-seed{seed}"


def _evaluation_name(model: str) -> str:
    return model + _EVALUATION


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a config makes of prepared images in a run folder."""

    config: Config
    images: Images
    folder: Path
    device: str = "auto"
    on_progress: OnProgress | None = None
    is_one_process: bool = True
    """All of it runs in this process, so that evaluations count on from network to network."""

    def stage(self, name: str) -> Stage:
        """Return one of `stage_names`; a job imports what this one needs, and no more."""
        if name == _REPORT:
            return self.report()
        if name == _JOINED:
            return self.joined()
        stages = self.evaluations() if name.endswith(_EVALUATION) else self.trainings()
        return next(one for one in stages if one.name == name)

    def keeps(self, name: str) -> Path:
        """Return the file that one of `stage_names` is for."""
        if name == _REPORT:
            return self.folder / "report.html"
        if name == _JOINED:
            return self.folder / _TABLE
        model = self.folder / "models" / name.removesuffix(_EVALUATION)
        return model / (_TABLE if name.endswith(_EVALUATION) else _BUNDLE)

    def needed(self, stage: Stage) -> list[Stage]:
        """Return the stages that have to be done before one, near and far.

        Where the table of all networks is there, their own aren't needed any more.
        """
        found: dict[str, Stage] = {}

        def look(names: Iterable[str]) -> None:
            for name in names:
                if name not in found:
                    found[name] = one = self.stage(name)
                    is_joined = name == _JOINED
                    look([net.name for net in self.trainings()] if is_joined else one.after)

        look(stage.after)
        return list(found.values())

    def left(self, book: Book, until: Until) -> Iterator[Stage]:
        """Yield what has to be done or looked at, up to `until`, each after those that it needs.

        Where the table of all networks is there, their own aren't needed any more.
        """
        trainings = self.trainings()
        yield from trainings
        if until == "models":
            return
        joined = self.joined()
        if not (all(map(book.has, trainings)) and book.has(joined)):
            yield from self.evaluations()
        yield joined
        if until == "report":
            yield self.report()

    def trainings(self) -> list[Stage]:
        """Return the baseline of each seed, and what starts or learns from it, in a fit order."""
        return [self._training(name, seed) for name, seed in _models(self.config)]

    def evaluations(self) -> list[Stage]:
        """Return the prediction table of each network, in the order of the trainings.

        A table for each network first: many networks under many conditions take long.
        """
        chosen = self._evaluation_options()
        cells, before, stages = sum(len(one.conditions) for one in chosen.values()), 0, []
        for model, options in chosen.items():
            counts = (before, cells) if self.is_one_process else (0, len(options.conditions))
            stages.append(self._evaluation(model, options, *counts))
            before += len(options.conditions)
        return stages

    def joined(self) -> Stage:
        """Return the table of all networks."""
        from hemiface.stats.ensembles import join
        from hemiface.tables import read_predictions, write_predictions

        parts = self.evaluations()

        def mark() -> Mark:
            return Mark.joined(part.mark() for part in parts)

        def work() -> None:
            whole = join([read_predictions(part.keeps) for part in parts])
            write_predictions(whole.with_facts(fingerprint=mark().fingerprint), self.keeps(_JOINED))

        return Stage(
            name=_JOINED, mark=mark, work=work, keeps=self.keeps(_JOINED),
            after=tuple(part.name for part in parts),
        )  # fmt: skip

    def report(self) -> Stage:
        """Return the tables, figures and the page."""
        from hemiface.report import page

        folder = self.folder
        return Stage(
            name=_REPORT,
            mark=lambda: self._report_mark(Path(page.__file__).parent / "templates", page.__name__),
            work=lambda: page.build_all(folder),
            keeps=self.keeps(_REPORT),
            after=(_JOINED,),
        )  # fmt: skip

    def _training(self, name: str, seed: int) -> Stage:
        job = self._task(name, seed)
        keeps = self.keeps(job.model_id)
        place = keeps.parent

        def work() -> None:
            from hemiface.networks.train import fit

            fit(job, self.images, place, device=self.device, on_step=on_step)

        def on_step(done: int, total: int) -> None:
            if self.on_progress:
                self.on_progress(f"training {job.model_id}", done, total)

        needed = [one.parent.name for one in (job.init, job.teacher)
                  if one is not None and one.parent.parent == place.parent]  # fmt: skip
        return Stage(
            name=job.model_id,
            mark=lambda: job.mark(self.images),
            work=work,
            keeps=keeps,
            after=tuple(dict.fromkeys(needed)),
            is_of=lambda: job.made(keeps, self.images),
            diary=place / "history.csv",
            computes=True,
        )

    def _task(self, name: str, seed: int) -> "Task":
        from hemiface.networks.task import task

        def bundle(model: str) -> Path:
            return self.keeps(_model_id(model, seed))

        if name == "full":
            return task(self.config, name, seed)
        start = "full" if name == "any" else self.config.finetune_from
        return task(self.config, name, seed, init=bundle(start), baseline=bundle("full"))

    def _evaluation_options(self) -> "dict[str, EvaluationOptions]":
        """Return how each network is scored, by its model ID."""
        from hemiface.networks.evaluate import EvaluationOptions

        options = self.config.evaluate
        present = set(self.images.table["split"])
        splits = tuple(split for split in options.splits if split in present)
        for_specialists = options.specialist_conditions or options.conditions
        return {
            _model_id(name, seed): EvaluationOptions(
                conditions=options.conditions if name in ("full", "any") else for_specialists,
                splits=splits,
                flip=options.flip,
                crop_px=options.crop_px,
                device=self.device,
                batch_size=options.batch_size,
            )
            for name, seed in _models(self.config)
        }

    def _evaluation(
        self, model: str, options: "EvaluationOptions", before: int, cells: int
    ) -> Stage:
        from hemiface.networks.evaluate import evaluate_by, mark

        bundle, table = self.keeps(model), self.keeps(_evaluation_name(model))

        def work() -> None:
            evaluate_by(options, [bundle], self.images, out=table, on_cell=on_cell)

        def on_cell(done: int, _: int, what: str) -> None:
            if self.on_progress:
                self.on_progress(f"evaluating {what}", before + done, cells)

        return Stage(
            name=_evaluation_name(model),
            mark=lambda: mark([bundle], self.images, options),
            work=work,
            keeps=table,
            after=(model,),
            computes=True,
        )

    def _report_mark(self, templates: Path, entry: str) -> Mark:
        folder = self.folder
        mirrored = folder / "mirrored.parquet"
        inputs = {
            "predictions": sha256_file(folder / _TABLE),
            "statistics": as_plain(self.config.statistics),
            "config": (folder / "config.toml").read_text(encoding="utf-8"),
            "templates": [sha256_file(path) for path in sorted(templates.glob("*"))],
            "mirrored": sha256_file(mirrored) if mirrored.is_file() else "",
        }
        return Mark.of(inputs, entry)
