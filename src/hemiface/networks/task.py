"""What a training is: which network learns what, from whom, and by which recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemiface.config import MOST_SEED, Config, ModelConfig, Recipe, as_plain
from hemiface.data.ferplus import votes_sha256
from hemiface.data.images import Images
from hemiface.errors import MissingError, UsageError
from hemiface.files import sha256_file
from hemiface.networks.network import Bundle
from hemiface.occlusion.conditions import Condition, condition
from hemiface.provenance import Mark

__all__ = ["Task", "recipe_of", "require_seed", "task"]

_ENTRY = "hemiface.networks.train"  # what carries a task out


@dataclass(frozen=True)
class Task:
    """One training: which network, on what, how.

    `conditions` are hidden during training, one drawn evenly for each image and step;
    `selection` is what validation hides, as a rule the same; `init` is a Bundle to start from,
    `teacher` one to learn from.
    """

    name: str
    seed: int
    model: ModelConfig
    recipe: Recipe
    conditions: tuple[Condition, ...]
    selection: tuple[Condition, ...]
    init: Path | None = None
    teacher: Path | None = None
    max_steps: int | None = None

    @property
    def model_id(self) -> str:
        """The model's ID in every table."""
        return f"{self.name}-seed{self.seed}"

    @property
    def init_sha256(self) -> str | None:
        """The hash of the Bundle to start from.

        Raises:
            MissingError: it doesn't exist.
        """
        return _hash_of(self.init)

    @property
    def teacher_sha256(self) -> str | None:
        """The hash of the teacher's Bundle.

        Raises:
            MissingError: it doesn't exist.
        """
        return _hash_of(self.teacher)

    @property
    def flips(self) -> bool:
        """Whether it learns from mirrored faces, or goes on from or learns from who did."""
        known = (Bundle.load(one).provenance for one in (self.init, self.teacher) if one)
        return self.recipe.mirrors or any(one.get("flips", True) is not False for one in known)

    def votes_sha256(self, images: Images) -> str | None:
        """Return the hash of the votes that are learnt, None where labels alone are."""
        return votes_sha256(images) if self.recipe.train.soft_labels else None

    @property
    def weights_sha256(self) -> str | None:
        """The hash of the file of pretrained weights that it starts from, None without one."""
        file = Path(self.model.weights)
        # One that isn't there `network.build` names.
        return sha256_file(file) if self.init is None and file.is_file() else None

    def mark(self, images: Images) -> Mark:
        """Return what decides the weights."""
        # Marks of before had none, and those that start from no file need none.
        weights = self.weights_sha256
        inputs = {
            **({} if weights is None else {"weights": weights}),
            "model": as_plain(self.model),
            "recipe": as_plain(self.recipe),
            "conditions": [one.key for one in self.conditions],
            "selection": [one.key for one in self.selection],
            "name": self.name,
            "seed": self.seed,
            "init": self.init_sha256,
            "teacher": self.teacher_sha256,
            "max_steps": self.max_steps,
            "data": images.info.get("data_sha256"),
            "votes": self.votes_sha256(images),
        }
        return Mark.of(inputs, _ENTRY)

    def fingerprint(self, images: Images) -> str:
        """Return a hash of everything that decides the weights."""
        return self.mark(images).fingerprint

    def made(self, bundle: Path, images: Images) -> bool:
        """Return whether a Bundle came from this very training but for the code that ran it.

        Asked of what the Bundle says of itself; one that says too little didn't.
        """
        if self.max_steps is not None or not bundle.is_file():
            return False
        known = Bundle.load(bundle)
        said, recipe = known.provenance, as_plain(self.recipe)
        wanted = {
            "name": self.name,
            "seed": self.seed,
            "conditions": [one.key for one in self.conditions],
            "selection": [one.key for one in self.selection],
            "init_sha256": self.init_sha256,
            "teacher_sha256": self.teacher_sha256,
            "data_sha256": images.info.get("data_sha256"),
            "votes_sha256": self.votes_sha256(images),
            "weights_sha256": self.weights_sha256,
            "max_steps": None,
            "recipe": recipe,
        }
        told = {"votes_sha256": None, "weights_sha256": None, "max_steps": None} | said
        told["recipe"] = recipe_of(said)
        return (
            known.model == self.model
            and {name: told.get(name, "not said") for name in wanted} == wanted
        )


def recipe_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe that a Bundle was trained by, as plain values.

    A key that is newer than the Bundle had its default then.
    """
    said = provenance.get("recipe", {})
    return {name: keys | said.get(name, {}) for name, keys in as_plain(Recipe()).items()}


def task(
    config: Config,
    name: str,
    seed: int = 0,
    *,
    init: Path | None = None,
    baseline: Path | None = None,
    max_steps: int | None = None,
) -> Task:
    """Return the training of model `name` (full, longer, a condition, or any) of `config`.

    `baseline` is the Bundle that a recipe with `distill.teacher = "full"` learns from; other
    recipes don't need it.

    Raises:
        UsageError: `name` isn't `any`, `longer` or a condition, the seed is below 0 or above
            `hemiface.config.MOST_SEED`, or a needed teacher is missing.
        MissingError: the Bundle of the teacher or to start from doesn't exist.
    """
    require_seed(seed)
    single = "full" if name == "longer" else name
    keys = config.generalist_conditions if name == "any" else (single,)
    selection = (config.selection_conditions if name == "any" else ()) or keys
    recipe = config.recipe(name, fine_tuned=init is not None)
    return Task(
        name=name,
        seed=seed,
        model=config.model,
        recipe=recipe,
        conditions=tuple(condition(key) for key in keys),
        selection=tuple(condition(key) for key in selection),
        init=init,
        teacher=_teacher_of(recipe, baseline),
        max_steps=max_steps,
    )


def require_seed(seed: int) -> None:
    """Raise unless a Bundle can keep a seed.

    Raises:
        UsageError: it is below 0 or above `hemiface.config.MOST_SEED`.
    """
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"Seed {seed} can't be kept; choose one from 0 to {MOST_SEED}.")


def _teacher_of(recipe: Recipe, baseline: Path | None) -> Path | None:
    """Return the Bundle that `recipe` learns from; None where there is none or it is itself."""
    if recipe.distill.path is not None:
        return recipe.distill.path
    if not recipe.distill.taught or recipe.distill.teacher != "full":
        return None
    if baseline is None:
        raise UsageError(
            "The recipe learns from a teacher (distill.teacher = full); name the baseline's "
            "Bundle with --teacher, or set distill.teacher=self."
        )
    return baseline


def _hash_of(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    if not bundle.is_file():
        raise MissingError(f"Bundle {bundle} doesn't exist; check the path.")
    return sha256_file(bundle)
