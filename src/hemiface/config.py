"""What a run does, as frozen dataclasses read from TOML; an unknown key is an error.

Some files come with hemiface and go by their names (`shipped`, `find`); a user's own by its path.

A file has the tables `[data]`, `[model]`, `[train]`, `[augment]`, `[evaluate]`, `[statistics]` and
the top-level keys of `Config`. `[finetune.train]`, `[finetune.augment]`, `[generalist.train]` and
`[generalist.augment]` inherit every key that they don't give from `[train]` and `[augment]`;
`[finetune.distill]` and `[generalist.distill]` stand alone. A table `[cluster]` says what the jobs
of a study ask for where machines are shared; it is read by itself (`load_cluster`), because it is
no part of what the study is.
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hemiface.documents import read_text, toml_value
from hemiface.errors import UsageError
from hemiface.files import hash_json
from hemiface.inputs import require_file

Section = typing.TypeVar("Section")

_SHIPPED = Path(__file__).parent / "configs"
MOST_SEED = 2**63 - 1
"""The largest seed: what hemiface keeps knows no numbers beyond 64 bits."""

__all__ = [
    "MOST_SEED",
    "AugmentConfig",
    "Cluster",
    "Config",
    "DataConfig",
    "DistillConfig",
    "EvaluateConfig",
    "ModelConfig",
    "Recipe",
    "StatisticsOptions",
    "TrainConfig",
    "as_plain",
    "config_hash",
    "find",
    "from_dict",
    "load",
    "load_as",
    "load_cluster",
    "model_config",
    "shipped",
    "summary",
    "to_toml",
]


@dataclass(frozen=True)
class DataConfig:
    """Where the faces come from."""

    source: str = ""
    """File, folder or `phantom:`; `--data` overrides it."""
    labels: str = ""
    """`ferplus=PATH` takes the labels from FER+ votes; empty keeps the data set's own."""
    skip_bad: bool = False
    """Leave out images that can't be used and count them, instead of stopping at the first."""
    near_duplicates: bool = True
    """Find near duplicates and make them one group. Otherwise only exact copies share a group, but
    where splits are dealt here, which is done by near duplicates always."""
    align: bool = False
    """Find and align the faces of whole pictures; otherwise pictures are taken for crops."""
    deal: bool = False
    """Deal images into splits anew, by persons and copies, whatever the source says."""
    protocol: Literal["standard", "paper"] = "standard"
    """`paper` tests on the validation and test images together, as the original study did, and
    selects on a tenth of the training groups instead."""


@dataclass(frozen=True)
class ModelConfig:
    """The network and how pixels enter it."""

    architecture: str = "resnet50"
    """`compact` (for CPUs), `nano` (for browsers), `tiny` (for trainings that are many) or the name
    of any timm model that takes 48 pixels."""
    stem: Literal["imagenet", "3x3", "3x3-stride2", "5x5-stride3"] = "imagenet"
    """`imagenet` is timm's own; the others are one small convolution without pooling."""
    channels: int = 1
    """Input channels: 1, or 3 copies of the grey image."""
    pretrained: bool = False
    """Start from timm's ImageNet weights for the architecture (network or cache needed)."""
    weights: str = ""
    """A local file of pretrained weights to use instead of downloading them: a state dict of the
    architecture, of which all but the last layer is taken."""
    dropout: float = 0.0
    """Probability of dropping a feature before the last layer."""
    mean: tuple[float, ...] = (0.5,)
    """Subtracted per channel, on the scale 0..1; one value serves all channels."""
    std: tuple[float, ...] = (0.25,)
    """Divided by per channel, on the scale 0..1."""


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation of one network."""

    epochs: int = 30
    """Passes over the training split."""
    batch_size: int = 128
    """Images per step, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum, or AdamW."""
    learning_rate: float = 0.1
    """The peak learning rate."""
    momentum: float = 0.9
    """Momentum of SGD, or AdamW's beta 1."""
    nesterov: bool = True
    """Nesterov's form of momentum (SGD only)."""
    weight_decay: float = 5e-4
    """L2 penalty (SGD) or decoupled decay (AdamW)."""
    decay_all: bool = False
    """Decay biases and normalisation weights too, as plain torch optimizers do."""
    schedule: Literal["constant", "cosine", "step", "one-cycle"] = "cosine"
    """How the learning rate moves over the steps."""
    warmup_epochs: float = 0.0
    """Linear rise from 0 at the start (cosine, step, constant); for one-cycle the rising part."""
    step_epochs: int = 5
    """Epochs between two drops of schedule `step`."""
    step_factor: float = 0.1
    """Factor of each drop of schedule `step`."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    soft_labels: bool = False
    """Learn the shares of FER+'s votes instead of one label (needs data.labels = ferplus=PATH)."""
    own_label_votes: float = 0.0
    """With soft_labels: the data set's own label counts as so many further votes beside FER+'s."""
    lone_votes: bool = True
    """With soft_labels: votes count of emotions that one voter alone saw. FER+'s own code leaves
    them out as noise (Barsoum et al. 2016, cntk/train.py); false does so too."""
    attention_consistency: float = 0.0
    """Weight of the mean squared distance between the class activation maps of a picture and of the
    mirrored one; 0 is off, 5 in Zhang et al. 2022. Doubles the work; sees mirrored pictures, so
    that it must be off where left and right are compared."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that mixes pairs of images; 0 is off (Zhang et al. 2018)."""
    ema_decay: float = 0.0
    """Decay per step of the averaged weights that are validated and kept; 0 is off."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs each class by the inverse of its share of the training split."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 is off."""
    select: Literal["best", "last"] = "best"
    """Keep the epoch with the best validation accuracy, or the last one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the forward and backward pass; weights stay fp32. A device that can only
    imitate bf16 computes in fp32, and says so."""
    saved_as: Literal["fp32", "fp16"] = "fp32"
    """Numbers of the finished Bundle; fp16 halves it, and what comes after it (fine-tuning,
    teaching, scores) uses the rounded weights too."""
    start_px: int = 0
    """Side of the training images in the first epoch; it grows in steps of 8. 0 is full size."""
    grown_by: float = 0.5
    """Share of the epochs after which images have their full size (with start_px)."""
    processes: int = 1
    """Processes (one device each) that share every batch through DDP."""
    channels_last: bool = True
    """Keep activations in NHWC order, which convolutions prefer."""
    compile: bool = False
    """Compile the network (pays on a GPU and for long trainings)."""
    deterministic: bool = True
    """Same seed and machine give the same weights; false lets cuDNN choose faster kernels."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training images, drawn for each image by itself."""

    flip: bool = True
    """Mirror half of the images; must be off where left and right are compared."""
    translate_px: float = 0.0
    """Largest shift in each direction."""
    rotate_deg: float = 0.0
    """Largest rotation in each direction."""
    scale: float = 0.0
    """Largest relative change of size: 0.2 draws from 0.8 to 1.2."""
    shear_deg: float = 0.0
    """Largest horizontal shear."""
    interpolate: bool = True
    """False shifts by whole pixels only and ignores rotation, scale and shear (a padded crop)."""
    border: Literal["zeros", "border", "reflection"] = "zeros"
    """What fills the pixels that come in from outside."""
    geometry_probability: float = 1.0
    """Share of the images that are moved at all."""
    brightness: float = 0.0
    """Largest relative change of brightness: factor drawn from 1 - b to 1 + b."""
    contrast: float = 0.0
    """Largest relative change of contrast around the image's mean."""
    colour_probability: float = 1.0
    """Share of the images whose brightness and contrast change."""
    light: float = 0.0
    """Largest relative change of brightness from the middle to a side, in any direction; 1.4 times
    this in corners."""
    repeat_px: float = 0.0
    """Depth to which the picture's border may be replaced by its repeated edge, as at the end of a
    photo; one side of half of the images, at most so many of 48 pixels."""
    coarsen: float = 0.0
    """Share of the images that are made coarser, to between a third and five sixths of their side,
    and enlarged again."""
    blur: float = 0.0
    """Share of the images that are blurred, by a Gaussian of at most `blur_px`."""
    blur_px: float = 1.2
    """Largest standard deviation of that blur, in pixels."""
    compress: float = 0.0
    """Share of the images that go through JPEG's quantisation at a drawn quality."""
    compress_quality: tuple[float, float] = (30.0, 95.0)
    """Worst and best quality, on the scale of libjpeg (1 to 100)."""
    erase_probability: float = 0.0
    """Share of the images of which a rectangle is replaced by noise (Zhong et al. 2020)."""
    erase_area: tuple[float, float] = (0.02, 0.25)
    """Smallest and largest share of the image that the rectangle covers."""
    hide_rectangle: float = 0.0
    """Share of the images in which a drawn rectangle is hidden in place of the condition's part."""
    hide_area: tuple[float, float] = (0.1, 0.5)
    """Smallest and largest share of the image that such a rectangle covers; sides that the image is
    too short for are cut, so that large ones cover less."""
    hide_worn: float = 0.0
    """Share of the images that wear a drawn mask, scarf, sunglasses, hand or the like in place of
    the condition's part and of any rectangle (`occlusion.occluders`)."""


@dataclass(frozen=True)
class DistillConfig:
    """A whole face beside every hidden one, and what the hidden face learns from it.

    The loss is CE(hidden) + clean CE(whole) + ramp (logits KL(hidden) + clean_logits KL(whole)
    + features MSE(hidden)), the last three against a teacher. It sees the whole face, more than the
    hidden one shows, or the same view as the network, of which it says what can be known from it.
    With every weight 0 there are no pairs and no teacher.
    """

    clean: float = 0.0
    """Weight of the cross entropy on the whole face."""
    logits: float = 0.0
    """Weight of the hidden face's divergence from the teacher's probabilities."""
    clean_logits: float = 0.0
    """Weight of the whole face's divergence from the teacher's probabilities."""
    features: float = 0.0
    """Weight of the squared distance between the hidden face's features and the teacher's."""
    temperature: float = 2.0
    """Softens both sides of the divergences (Hinton et al. 2015)."""
    ramp_epochs: float = 1.0
    """The teacher's terms rise linearly from 0 over so many epochs."""
    teacher: str = "full"
    """`full` is the baseline of the same seed, `self` the network's own whole face, `average` the
    whole face of its weights' moving average (Tarvainen & Valpola 2017), else a Bundle's path."""
    teacher_sees: str = "whole"
    """`whole`: the whole face beside the hidden one; `same`: the hidden face itself (Beyer et al.
    2022, Knowledge distillation: a good teacher is patient and consistent, section 3)."""

    @property
    def path(self) -> Path | None:
        """The teacher's Bundle where the config names one; None where there is another or none."""
        named = self.taught and self.teacher not in ("full", "self", "average")
        return Path(self.teacher) if named else None

    @property
    def paired(self) -> bool:
        """Does every image enter as a pair, hidden and whole?"""
        return self.clean > 0 or self.taught

    @property
    def shows_whole(self) -> bool:
        """Does the network itself see the whole face?"""
        own_teacher = self.teacher == "self" and self.taught
        return self.clean > 0 or self.clean_logits > 0 or own_teacher

    @property
    def taught(self) -> bool:
        """Is anything learnt from a teacher?"""
        return self.logits > 0 or self.clean_logits > 0 or self.features > 0


@dataclass(frozen=True)
class Recipe:
    """How one kind of network is trained."""

    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)

    @property
    def mirrors(self) -> bool:
        """Does the network see mirrored pictures, which hide what differs between the sides?"""
        return self.augment.flip or self.train.attention_consistency > 0


@dataclass(frozen=True)
class EvaluateConfig:
    """How the finished networks are scored."""

    conditions: tuple[str, ...] = ("full", "upper", "lower", "left", "right")
    """What is hidden, in the order of the tables."""
    specialist_conditions: tuple[str, ...] = ()
    """What is hidden from specialists: some of `conditions`, with full; empty takes all of them."""
    splits: tuple[Literal["train", "validation", "test"], ...] = ("validation", "test")
    """Both are needed for the `paper` protocol."""
    flip: bool = False
    """Average with the mirrored picture of the same visible pixels."""
    crop_px: int = 0
    """Average five crops of so many pixels, enlarged (25 to 47; ten with flip); 0 for none."""
    batch_size: int = 256
    """Images per forward pass."""


@dataclass(frozen=True)
class StatisticsOptions:
    """How every statistic of one report is computed; a Sample carries them."""

    draws: int = 1000
    """Bootstrap draws, 2 or more: one has no spread."""
    level: float = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the draws."""
    margin: float = 0.02
    """Scores that differ by less are as good as equal: the margin of the equivalence tests."""


@dataclass(frozen=True)
class Cluster:
    """What each job of a study asks for; nothing of it is part of what decides results."""

    cpus: int = 0
    """Cores of a job, and threads that it computes with; 0 takes as many threads as the study in
    one process would have where it is started."""
    gpus: int = 0
    """GPUs of a training or an evaluation; what comes after them asks for none."""
    memory_gb: float = 0.0
    """Memory of a job, asked for on Ray and SLURM; 0 leaves it to them."""
    hours: float = 24.0
    """After so many hours SLURM ends a job, which then goes on in another one."""
    slurm: dict[str, Any] = field(default_factory=dict)
    """What else sbatch is told, by its own names: partition, account, qos, ..."""


@dataclass(frozen=True)
class Config:
    """One study: data, networks, evaluation."""

    name: str = "study"
    """Name of the run and of its folder under runs/."""
    models: tuple[str, ...] = ("full", "upper", "lower", "right", "left")
    """`full`, any condition (a specialist, fine-tuned from `full`), `longer` (fine-tuned as they
    are, on whole faces: what they are compared with), and `any` (the generalist)."""
    seeds: tuple[int, ...] = (0,)
    """Each model is trained once per seed."""
    generalist_conditions: tuple[str, ...] = ("full", "upper", "lower", "left", "right")
    """What `any` sees: drawn evenly for each image and step; repeat `full` to see it more often."""
    selection_conditions: tuple[str, ...] = ()
    """What validation hides to select the epoch of `any`; empty takes generalist_conditions."""
    finetune_from: Literal["full", "any"] = "full"
    """The network that specialists start from."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    finetune: Recipe = field(default_factory=Recipe)
    generalist: Recipe = field(default_factory=Recipe)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    statistics: StatisticsOptions = field(default_factory=StatisticsOptions)

    def recipe(self, model: str, *, fine_tuned: bool) -> Recipe:
        """Return `model`'s recipe: the baseline's, the generalist's or the fine-tuning one."""
        if model == "any":
            return self.generalist
        return self.finetune if fine_tuned else Recipe(self.train, self.augment)


def shipped() -> dict[str, Path]:
    """Return the configs that come with hemiface: each one's file by its name, sorted."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"), key=_stem)}


def _stem(path: Path) -> str:
    return path.stem


def find(name: str | Path) -> Path:
    """Return the file of a config: a file if there is one of this path, else a shipped one's.

    Raises:
        UsageError: there is neither.
    """
    # A run's folder may be called as the config that made it.
    is_shipped_one = Path(name).is_dir() and str(name) in shipped()
    if Path(name).exists() and not is_shipped_one:
        require_file(name, "Config", error=UsageError)
        return Path(name)
    known = shipped()
    if str(name) not in known:
        raise UsageError(
            f"Config {name} doesn't exist: no TOML file of that path, and none that comes with "
            f"hemiface has this name; these are {', '.join(known)}."
        )
    return known[str(name)]


def summary(path: Path) -> str:
    """Return what a config's file says of itself in its first sentence, "" if it says nothing."""
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        words += line[2:].split()
    first, stop, _ = " ".join(words).partition(". ")
    return first + stop.strip()


def load(path: str | Path, settings: Iterable[str] = ()) -> Config:
    """Read a config and apply `key.path=value` settings on top.

    `path` is a TOML file, or the name of a config that comes with hemiface.

    Raises:
        UsageError: there is no such config, the file is not TOML, a key is unknown, a value has the
            wrong type or is out of range.

    """
    return from_dict(_read(path, settings), str(path))


def load_as(cls: type[Section], path: str | Path | None, settings: Iterable[str] = ()) -> Section:
    """Read any frozen dataclass of plain fields as `load` reads a Config; None for its defaults.

    Raises:
        UsageError: see `load`; ranges are the dataclass's own matter.
    """
    tree = _read(path, settings)
    return typing.cast(Section, _build(cls, tree, "", str(path or "--set")))


def load_cluster(path: str | Path, settings: Iterable[str] = ()) -> Cluster:
    """Read what the table `[cluster]` of a config says, with the settings `cluster.KEY=VALUE`.

    Raises:
        UsageError: see `load`.
    """
    return _cluster(_read(path, settings), str(path))


def _cluster(tree: dict[str, Any], where: str) -> Cluster:
    cluster = typing.cast(
        Cluster, _build(Cluster, _table(tree, "cluster", "", where), "cluster.", where)
    )
    counts = (cluster.cpus, cluster.gpus, cluster.memory_gb)
    for name, value in zip(("cpus", "gpus", "memory_gb"), counts, strict=True):
        if not 0 <= value < math.inf:
            raise UsageError(f"{where}: cluster.{name} must not be negative.")
    if not 0 < cluster.hours < math.inf:
        raise UsageError(f"{where}: cluster.hours must be positive.")
    return cluster


def _read(path: str | Path | None, settings: Iterable[str]) -> dict[str, Any]:
    """Return the tables of a TOML file (none without a path) under `settings`."""
    tree: dict[str, Any] = {}
    if path is not None:
        source = find(path)
        try:
            tree = toml_value(read_text(source, "Config", UsageError))
        except (OSError, ValueError) as error:
            raise UsageError(f"Config {source} is not readable TOML: {error}.") from error
    for setting in settings:
        _apply_setting(tree, setting)
    return tree


def from_dict(tree: dict[str, Any], where: str = "config") -> Config:
    """Build and validate a Config from nested dicts, as TOML gives them."""
    # What is wrong in it is said also where nobody uses it.
    _cluster(tree, where)
    inherited = {key: value for key, value in tree.items() if key != "cluster"}
    for name in ("finetune", "generalist"):
        section = _table(tree, name, "", where)
        inherited[name] = {
            **section,
            **{
                part: {**_table(tree, part, "", where), **_table(section, part, f"{name}.", where)}
                for part in ("train", "augment")
            },
        }
    config = _build(Config, inherited, "", where)
    _validate(config, where)
    return typing.cast(Config, config)


def _table(tree: dict[str, Any], key: str, prefix: str, where: str) -> dict[str, Any]:
    """Return the table under `key`, empty where there is none."""
    section = tree.get(key, {})
    if not isinstance(section, dict):
        raise UsageError(f"{where}: {prefix}{key} must be a table.")
    return section


def as_plain(section: Any) -> dict[str, Any]:
    """Return any of the dataclasses here as nested dicts of JSON values."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(section)))


def config_hash(section: Any) -> str:
    """Return a short hash of any of the dataclasses here, by value."""
    return hash_json(as_plain(section))


def model_config(tree: dict[str, Any], where: str) -> ModelConfig:
    """Build a ModelConfig from a dict, as a Bundle's header holds it.

    Raises:
        UsageError: a key is unknown, or a value has the wrong type or makes no sense.
    """
    model = typing.cast(ModelConfig, _build(ModelConfig, tree, "model.", where))
    _require(_model_checks(model), where)
    return model


def to_toml(config: Any) -> str:
    """Return a resolved Config as TOML text that `load` reads back to an equal one.

    Other dataclasses of plain fields, and nested dicts of such, are read back by `load_as`.
    """
    lines: list[str] = []
    _write_table(config if isinstance(config, dict) else as_plain(config), "", lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(tree: dict[str, Any], prefix: str, lines: list[str]) -> None:
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    plain = {key: value for key, value in tree.items() if key not in tables}
    if plain and prefix:
        lines.append(f"\n[{prefix}]")
    lines.extend(f"{key} = {_toml_value(value)}" for key, value in plain.items())
    for key, value in tables.items():
        _write_table(value, f"{prefix}.{key}" if prefix else key, lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but TOML wants DEL escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _apply_setting(tree: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {setting!r} must look like train.epochs=10.")
    try:
        value = toml_value(f"value = {text}")["value"]
    except ValueError:
        value = text  # a bare word is a string: --set model.architecture=resnet18
    *parents, last = key.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UsageError(f"--set {setting!r}: {parent} is not a table.")
    tree[last] = value


def _build(cls: type[Any], tree: dict[str, Any], prefix: str, where: str) -> Any:
    types_by_name = typing.get_type_hints(cls)
    unknown = [key for key in tree if key not in types_by_name]
    if unknown:
        close = difflib.get_close_matches(unknown[0], types_by_name, n=1)
        hint = (
            f"did you mean {prefix}{close[0]}?" if close else f"known: {', '.join(types_by_name)}."
        )
        raise UsageError(f"{where}: unknown key {prefix}{unknown[0]}; {hint}")
    values = {
        key: _convert(value, types_by_name[key], f"{prefix}{key}", where)
        for key, value in tree.items()
    }
    return cls(**values)


def _convert(value: Any, wanted: Any, key: str, where: str) -> Any:
    origin = typing.get_origin(wanted)
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: {key} must be a table.")
        return _build(typing.cast(type[Any], wanted), value, f"{key}.", where)
    if origin is Literal:
        choices = typing.get_args(wanted)
        if value not in choices:
            raise UsageError(
                f"{where}: {key} = {value!r} is not allowed; choose from {', '.join(choices)}."
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UsageError(f"{where}: {key} must be a list.")
        inner = typing.get_args(wanted)
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise UsageError(f"{where}: {key} must have {len(inner)} values.")
        return tuple(_convert(item, inner[0], key, where) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: {key} must be a table.")
        return dict(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, types.GenericAlias) or type(value) is not wanted:
        raise UsageError(f"{where}: {key} = {value!r} must be of type {wanted.__name__}.")
    return value


def _validate(config: Config, where: str) -> None:
    """Raise UsageError for values that have the right type and make no sense."""
    model, seeds, crop_px = config.model, config.seeds, config.evaluate.crop_px
    keys, few = config.evaluate.conditions, config.evaluate.specialist_conditions
    checks = [
        ("name", _is_folder_name(config.name), "must be the name of a folder, without / or .."),
        ("models", "full" in config.models, "must contain full, the baseline"),
        ("models", len(set(config.models)) == len(config.models), "names a model twice"),
        ("seeds", bool(seeds) and len(set(seeds)) == len(seeds), "must be distinct"),
        ("seeds", all(seed >= 0 for seed in seeds), "must not be negative"),
        ("seeds", all(seed <= MOST_SEED for seed in seeds), f"must be at most {MOST_SEED}"),
        ("generalist_conditions", bool(config.generalist_conditions), "must name at least one"),
        (
            "finetune_from",
            config.finetune_from in config.models,
            "must be one of models",
        ),
        *_model_checks(model),
        ("evaluate.conditions", "full" in keys, "must contain full"),
        ("evaluate.specialist_conditions", not few or "full" in few, "must contain full"),
        ("evaluate.specialist_conditions", set(few) <= set(keys), "must be among conditions"),
        ("evaluate.splits", bool(config.evaluate.splits), "must name at least one"),
        ("evaluate.crop_px", crop_px == 0 or 24 < crop_px < 48, "must be 0 or lie in 25 to 47"),
        ("evaluate.batch_size", config.evaluate.batch_size > 0, "must be positive"),
        ("statistics.draws", config.statistics.draws > 1, "must be 2 or more"),
        ("statistics.seed", config.statistics.seed >= 0, "must not be negative"),
        ("statistics.seed", config.statistics.seed <= MOST_SEED, f"must be at most {MOST_SEED}"),
        ("statistics.level", 0 < config.statistics.level < 1, "must lie between 0 and 1"),
        ("statistics.margin", 0 < config.statistics.margin < 1, "must lie between 0 and 1"),
    ]
    checks += _recipe_checks("", config.recipe("full", fine_tuned=False))
    checks += _recipe_checks("finetune.", config.finetune)
    checks += _recipe_checks("generalist.", config.generalist)
    _require(checks, where)


def _require(checks: Sequence[tuple[str, bool, str]], where: str) -> None:
    for key, fine, what in checks:
        if not fine:
            raise UsageError(f"{where}: {key} {what}.")


def _model_checks(model: ModelConfig) -> list[tuple[str, bool, str]]:
    """Return (key, whether its value is fine, what is required) for a network."""
    return [
        ("model.channels", model.channels in (1, 3), "must be 1 or 3"),
        ("model.std", all(0 < value < math.inf for value in model.std), "must be positive"),
        ("model.mean", all(map(math.isfinite, model.mean)), "must be finite"),
        ("model.mean", len(model.mean) == len(model.std), "needs as many values as std"),
        ("model.mean", len(model.mean) in (1, model.channels), "needs one value a channel"),
        ("model.dropout", 0 <= model.dropout < 1, "must lie in [0, 1)"),
    ]


def _is_folder_name(name: str) -> bool:
    """Return whether a name stays in the folder that it is joined to, on every system."""
    return name not in ("", ".", "..") and name.isprintable() and not set(name) & set("/\\:")


def _recipe_checks(prefix: str, recipe: Recipe) -> list[tuple[str, bool, str]]:
    """Return (key, whether its value is fine, what is required) for one recipe."""
    train, augment, distill = recipe.train, recipe.augment, recipe.distill
    checks: list[tuple[str, bool, str]] = []

    def each(part: str, section: Any, names: str, fine: Callable[[float], bool], what: str) -> None:
        checks.extend(
            (f"{prefix}{part}.{name}", fine(getattr(section, name)), what) for name in names.split()
        )

    def positive(value: float) -> bool:
        return 0 < value < math.inf

    def not_negative(value: float) -> bool:
        return 0 <= value < math.inf

    positives = "epochs learning_rate processes step_epochs step_factor"
    each("train", train, positives, positive, "must be positive")
    sizes = "weight_decay warmup_epochs mixup clip_norm own_label_votes attention_consistency"
    each("train", train, sizes, not_negative, "must not be negative")
    shares = "momentum label_smoothing ema_decay"
    each("train", train, shares, lambda value: 0 <= value < 1, "must lie in [0, 1)")
    sizes = "translate_px rotate_deg shear_deg brightness contrast light repeat_px"
    each("augment", augment, sizes, not_negative, "must not be negative")
    each("augment", augment, "scale", lambda value: 0 <= value < 1, "must lie in [0, 1)")
    shares = "geometry_probability colour_probability erase_probability hide_rectangle"
    shares += " coarsen blur compress hide_worn"
    each("augment", augment, shares, lambda value: 0 <= value <= 1, "must lie in [0, 1]")
    weights = "clean logits clean_logits features ramp_epochs"
    each("distill", distill, weights, not_negative, "must not be negative")
    each("distill", distill, "temperature", positive, "must be positive")
    low, high = augment.erase_area
    hide_low, hide_high = augment.hide_area
    growing = train.start_px == 0 or (train.start_px % 8 == 0 and 16 <= train.start_px <= 48)
    averaged = distill.teacher != "average" or not distill.taught or train.ema_decay > 0
    told = distill.clean_logits == 0 or distill.teacher != "self"
    same = distill.teacher_sees == "same" and distill.taught
    another = not same or (distill.clean_logits == 0 and distill.teacher != "self")
    worst, best = augment.compress_quality
    even = train.processes > 0 and train.batch_size % train.processes == 0
    return [
        *checks,
        (f"{prefix}train.batch_size", train.batch_size > 1, "must be at least 2"),
        (f"{prefix}train.batch_size", even, "must divide evenly among train.processes"),
        (f"{prefix}augment.erase_area", 0 < low <= high < 1, "must rise within (0, 1)"),
        (f"{prefix}augment.hide_area", 0 < hide_low <= hide_high < 1, "must rise within (0, 1)"),
        (f"{prefix}augment.repeat_px", augment.repeat_px < 24, "must be less than half of 48"),
        (f"{prefix}augment.translate_px", augment.translate_px < 48, "must be less than 48"),
        (f"{prefix}augment.blur_px", 0 < augment.blur_px <= 6, "must lie in (0, 6]"),
        (f"{prefix}augment.compress_quality", 1 <= worst <= best <= 100, "must rise in 1..100"),
        (f"{prefix}train.start_px", growing, "must be 0 or a multiple of 8 from 16 to 48"),
        (f"{prefix}train.grown_by", 0 < train.grown_by <= 1, "must lie in (0, 1]"),
        *(
            (
                f"{prefix}train.{name}",
                getattr(train, name) == 0 or not distill.paired,
                "must be 0 where images enter in pairs",
            )
            for name in ("mixup", "attention_consistency")
        ),
        (f"{prefix}train.ema_decay", averaged, "must be above 0 where the teacher is average"),
        *(
            (
                f"{prefix}train.{name}",
                train.soft_labels or getattr(train, name) == without,
                f"must be {str(without).lower()} without train.soft_labels",
            )
            for name, without in (("own_label_votes", 0), ("lone_votes", True))
        ),
        (f"{prefix}distill.clean_logits", told, "must be 0 where the teacher is self"),
        (
            f"{prefix}distill.teacher_sees",
            distill.teacher_sees in ("whole", "same"),
            "must be whole or same",
        ),
        (
            f"{prefix}distill.teacher_sees",
            another,
            "= same needs distill.clean_logits = 0 and another teacher than self",
        ),
    ]
