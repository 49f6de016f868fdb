"""Configs: TOML in, frozen dataclasses out, and a sentence for whatever makes no sense."""

import dataclasses
import math
import re
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemiface import config as c
from hemiface.config import AugmentConfig, Config, ModelConfig, TrainConfig
from hemiface.errors import UsageError
from hemiface.tables import SPLITS

CONFIGS = list(c.shipped().values())
NUMBERS = st.floats(0, 1e9, allow_subnormal=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FOLDER_NAMES = st.text(
    st.characters(categories=["L", "N", "P"], exclude_characters="/\\:."), min_size=1
)


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "c.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class TestShipped:
    def test_there_are_some(self):
        assert {"paper", "quick", "fer2013", "fer2013-cpu"} <= {path.stem for path in CONFIGS}

    @pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
    def test_each_loads_bears_its_file_name_and_says_its_command(self, path):
        config = c.load(path)
        assert config.name == path.stem
        said = path.read_text(encoding="utf-8")
        assert f"hemiface study {path.stem}" in said or f"hemiface train {path.stem}" in said

    def test_paper_is_the_original_recipe(self):
        # ../shared/design/anchors.md, section 1: "Recipe as run".
        paper = c.load(next(path for path in CONFIGS if path.stem == "paper"))
        baseline, tuned = paper.recipe("full", fine_tuned=False), paper.finetune
        assert (paper.model.architecture, paper.model.pretrained) == ("resnet50", True)
        assert (paper.model.channels, paper.model.stem) == (3, "imagenet")
        assert baseline.train.learning_rate == 0.01
        assert baseline.train.momentum == 0.9
        assert (baseline.train.batch_size, baseline.train.epochs) == (128, 30)
        assert (baseline.train.weight_decay, baseline.train.decay_all) == (1e-3, True)
        assert (baseline.train.schedule, baseline.train.step_epochs) == ("step", 5)
        assert baseline.train.step_factor == 0.1
        assert (baseline.augment.flip, baseline.augment.translate_px) == (True, 4.0)
        assert baseline.augment.interpolate is False
        assert (tuned.train.epochs, tuned.train.weight_decay) == (15, 5e-4)

    @pytest.mark.parametrize(
        "path", [path for path in CONFIGS if path.stem != "paper"], ids=lambda path: path.stem
    )
    def test_where_sides_are_compared_nothing_is_flipped(self, path):
        config = c.load(path)
        recipes = (
            config.recipe("full", fine_tuned=False),
            config.recipe("any", fine_tuned=False),
            config.recipe("left", fine_tuned=True),
        )
        flips = [recipe.augment.flip for recipe in recipes]
        # Who opens a file that flips has to be told what not to use its networks for.
        warned = "Flips are on" in path.read_text(encoding="utf-8")
        assert not any(flips) or warned


class TestLoad:
    def test_an_empty_file_gives_the_defaults(self, written):
        assert c.load(written("")) == Config()

    def test_numbers_without_a_point_are_floats_where_floats_are_meant(self, written):
        config = c.load(written("[train]\nlearning_rate = 1\nweight_decay = 0"))
        assert repr(config.train.learning_rate) == "1.0"
        assert c.config_hash(config.train) == c.config_hash(
            TrainConfig(learning_rate=1.0, weight_decay=0.0)
        )

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("[train]\nepoch = 3", "unknown key train.epoch; did you mean train.epochs?"),
            ("sedes = [1]", "unknown key sedes; did you mean seeds?"),
            (
                "[finetune.train]\nlearning_rat = 1.0",
                "unknown key finetune.train.learning_rat; did you mean finetune.train.learning_r",
            ),
            ("[finetune]\nepochs = 3", "unknown key finetune.epochs; known: train, augment, d"),
            (
                "[statistics]\nzzz = 1",
                "unknown key statistics.zzz; known: draws, level, seed, margin.",
            ),
            ("[train]\nepochs = 3.0", "train.epochs = 3.0 must be of type int."),
            ("[train]\nepochs = true", "train.epochs = True must be of type int."),
            ('[train]\nlearning_rate = "fast"', "train.learning_rate = 'fast' must be of type fl"),
            ("[train]\nlearning_rate = true", "train.learning_rate = True must be of type float."),
            ("[augment]\nflip = 1", "augment.flip = 1 must be of type bool."),
            ("name = 3", "name = 3 must be of type str."),
            ('models = "full"', "models must be a list."),
            ("models = [1]", "models = 1 must be of type str."),
            ("seeds = [0, 1.5]", "seeds = 1.5 must be of type int."),
            ("[augment]\nerase_area = [0.1]", "augment.erase_area must have 2 values."),
            (
                '[train]\noptimizer = "adam"',
                "train.optimizer = 'adam' is not allowed; choose from ",
            ),
            (
                '[evaluate]\nsplits = ["val"]',
                "evaluate.splits = 'val' is not allowed; choose from train, validation, test.",
            ),
            ("train = 3", "train must be a table."),
            ("model = [1]", "model must be a table."),
            ("finetune = 3", "finetune must be a table."),
            ("[finetune]\naugment = 3", "finetune.augment must be a table."),
            ("[[generalist.train]]\nepochs = 3", "generalist.train must be a table."),
        ],
    )
    def test_unknown_keys_and_wrong_types(self, written, text, sentence):
        path = written(text)
        with pytest.raises(UsageError, match=re.escape(f"{path}: {sentence}")) as caught:
            c.load(path)
        assert caught.value.exit_code == 2

    def test_a_file_that_is_missing_or_not_toml(self, written, tmp_path):
        with pytest.raises(UsageError, match=r"none\.toml doesn't exist: no TOML file"):
            c.load(tmp_path / "none.toml")
        with pytest.raises(UsageError, match=r"c\.toml is not readable TOML: .*line 2"):
            c.load(written("a = 1\nb = = 2"))
        with pytest.raises(UsageError, match="is a folder, not a file"):
            c.load(tmp_path)
        path = written("")
        path.write_bytes(b'name = "\xff"')
        with pytest.raises(UsageError, match="is not readable TOML"):
            c.load(path)

    def test_the_choice_of_splits_is_that_of_the_tables(self):
        hint = typing.get_type_hints(c.EvaluateConfig)["splits"]
        assert typing.get_args(typing.get_args(hint)[0]) == SPLITS


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "read"),
        [
            ("train.epochs=7", lambda config: config.train.epochs == 7),
            ("train.epochs = 7", lambda config: config.train.epochs == 7),
            ("train.learning_rate=1e-3", lambda config: config.train.learning_rate == 1e-3),
            ("augment.flip=false", lambda config: config.augment.flip is False),
            ("model.architecture=resnet18", lambda config: config.model.architecture == "resnet18"),
            ('model.architecture="compact"', lambda config: config.model.architecture == "compact"),
            ('models=["full","left"]', lambda config: config.models == ("full", "left")),
            ("seeds=[3, 4]", lambda config: config.seeds == (3, 4)),
            ("data.source=phantom:n=9,seed=1", lambda c: c.data.source == "phantom:n=9,seed=1"),
            ("data.source=/a b/c.csv", lambda config: config.data.source == "/a b/c.csv"),
            ("data.source=", lambda config: config.data.source == ""),
            ("finetune.train.epochs=2", lambda config: config.finetune.train.epochs == 2),
            ("augment.erase_area=[0.1, 0.2]", lambda c: c.augment.erase_area == (0.1, 0.2)),
        ],
    )
    def test_forms(self, written, setting, read):
        path = written('models = ["full"]\nname = "x"')
        assert not read(c.load(path)) or setting == "data.source="
        assert read(c.load(path, [setting]))

    def test_the_last_one_counts_and_the_file_is_the_base(self, written):
        path = written("[train]\nepochs = 3\nbatch_size = 8")
        train = c.load(path, ["train.epochs=4", "train.epochs=5"]).train
        assert (train.epochs, train.batch_size) == (5, 8)

    def test_a_setting_of_train_reaches_the_fine_tuning(self, written):
        config = c.load(written("[finetune.train]\nepochs = 2"), ["train.batch_size=8"])
        assert (config.finetune.train.epochs, config.finetune.train.batch_size) == (2, 8)

    @pytest.mark.parametrize(
        ("setting", "sentence"),
        [
            ("train.epochs", "--set 'train.epochs' must look like train.epochs=10."),
            ("=3", "--set '=3' must look like train.epochs=10."),
            ("train.epochs.x=3", "--set 'train.epochs.x=3': epochs is not a table."),
            ("train.epoch=3", "unknown key train.epoch; did you mean train.epochs?"),
            ("train.epochs=many", "train.epochs = 'many' must be of type int."),
            ("train=3", "train must be a table."),
        ],
    )
    def test_wrong_ones(self, written, setting, sentence):
        path = written("[train]\nepochs = 3")
        with pytest.raises(UsageError, match=re.escape(sentence)):
            c.load(path, [setting])


class TestInheritance:
    TEXT = """
        [train]
        epochs = 9
        learning_rate = 0.5
        [augment]
        rotate_deg = 3.0
        [finetune.train]
        epochs = 2
        [generalist.augment]
        flip = false
    """

    def test_what_is_not_given_comes_from_the_baseline(self, written):
        config = c.load(written(self.TEXT))
        tuned, any_ = config.finetune, config.generalist
        assert (tuned.train.epochs, tuned.train.learning_rate) == (2, 0.5)
        assert tuned.augment == config.augment
        assert any_.train == config.train
        assert (any_.augment.flip, any_.augment.rotate_deg) == (False, 3.0)
        assert config.augment.flip is True

    def test_which_recipe_is_for_whom(self, written):
        config = c.load(written(self.TEXT))
        assert config.recipe("full", fine_tuned=False) == c.Recipe(config.train, config.augment)
        assert config.recipe("left", fine_tuned=True) == config.finetune
        assert config.recipe("left", fine_tuned=False) == c.Recipe(config.train, config.augment)
        assert config.recipe("any", fine_tuned=True) == config.generalist
        assert config.recipe("any", fine_tuned=False) == config.generalist

    def test_the_tree_that_is_given_is_not_changed(self):
        tree = {"train": {"epochs": 2}, "finetune": {"train": {"batch_size": 8}}}
        c.from_dict(tree)
        assert tree == {"train": {"epochs": 2}, "finetune": {"train": {"batch_size": 8}}}


class TestValidation:
    @pytest.mark.parametrize(
        ("tree", "sentence"),
        [
            *(
                ({"name": name}, "name must be the name of a folder, without / or ...")
                for name in ("", ".", "..", "../x", "/etc", "a/b", "a\\b", "c:x", "a\nb", "a\x00")
            ),
            ({"models": ["upper"]}, "models must contain full, the baseline."),
            ({"models": ["full", "left", "left"]}, "models names a model twice."),
            ({"seeds": []}, "seeds must be distinct."),
            ({"seeds": [1, 1]}, "seeds must be distinct."),
            ({"seeds": [-1]}, "seeds must not be negative."),
            ({"seeds": [2**63]}, "seeds must be at most 9223372036854775807."),
            ({"generalist_conditions": []}, "generalist_conditions must name at least one."),
            ({"model": {"channels": 2}}, "model.channels must be 1 or 3."),
            ({"model": {"std": [0.0]}}, "model.std must be positive."),
            ({"model": {"std": [float("nan")]}}, "model.std must be positive."),
            ({"model": {"mean": [0.1, 0.2, 0.3]}}, "model.mean needs as many values as std."),
            (
                {"model": {"mean": [0.1] * 3, "std": [1.0] * 3}},
                "model.mean needs one value a channel.",
            ),
            ({"model": {"dropout": 1.0}}, "model.dropout must lie in [0, 1)."),
            ({"evaluate": {"conditions": ["upper"]}}, "evaluate.conditions must contain full."),
            ({"evaluate": {"splits": []}}, "evaluate.splits must name at least one."),
            (
                {"evaluate": {"specialist_conditions": ["upper"]}},
                "evaluate.specialist_conditions must contain full.",
            ),
            (
                {"evaluate": {"specialist_conditions": ["full", "none"]}},
                "evaluate.specialist_conditions must be among conditions.",
            ),
            ({"evaluate": {"crop_px": 48}}, "evaluate.crop_px must be 0 or lie in 25 to 47."),
            ({"evaluate": {"batch_size": 0}}, "evaluate.batch_size must be positive."),
            ({"statistics": {"draws": 1}}, "statistics.draws must be 2 or more."),
            ({"statistics": {"seed": -1}}, "statistics.seed must not be negative."),
            ({"statistics": {"seed": 2**63}}, "statistics.seed must be at most 92233720368547"),
            ({"augment": {"translate_px": 48.0}}, "augment.translate_px must be less than 48."),
            ({"model": {"mean": [math.nan]}}, "model.mean must be finite."),
            ({"statistics": {"level": 1.0}}, "statistics.level must lie between 0 and 1."),
            ({"statistics": {"margin": 0.0}}, "statistics.margin must lie between 0 and 1."),
            ({"statistics": {"margin": math.inf}}, "statistics.margin must lie between 0 and 1."),
        ],
    )
    def test_sentences(self, tree, sentence):
        with pytest.raises(UsageError, match=re.escape(f"here: {sentence}")):
            c.from_dict(tree, "here")

    @pytest.mark.parametrize("prefix", ["", "finetune.", "generalist."])
    @pytest.mark.parametrize(
        ("part", "name", "value", "what"),
        [
            ("train", "epochs", 0, "must be positive"),
            ("train", "learning_rate", 0.0, "must be positive"),
            ("train", "learning_rate", float("nan"), "must be positive"),
            ("train", "processes", 0, "must be positive"),
            ("train", "step_epochs", 0, "must be positive"),
            ("train", "step_factor", 0.0, "must be positive"),
            ("train", "weight_decay", -1e-9, "must not be negative"),
            ("train", "warmup_epochs", -1.0, "must not be negative"),
            ("train", "mixup", -0.1, "must not be negative"),
            ("train", "clip_norm", float("nan"), "must not be negative"),
            ("train", "momentum", 1.0, "must lie in [0, 1)"),
            ("train", "label_smoothing", 1.0, "must lie in [0, 1)"),
            ("train", "ema_decay", -0.1, "must lie in [0, 1)"),
            ("train", "batch_size", 1, "must be at least 2"),
            ("augment", "translate_px", -1.0, "must not be negative"),
            ("augment", "rotate_deg", float("inf"), "must not be negative"),
            ("augment", "shear_deg", -1.0, "must not be negative"),
            ("augment", "brightness", -1.0, "must not be negative"),
            ("augment", "contrast", -1.0, "must not be negative"),
            ("augment", "scale", 1.0, "must lie in [0, 1)"),
            ("augment", "geometry_probability", 1.1, "must lie in [0, 1]"),
            ("augment", "colour_probability", -0.1, "must lie in [0, 1]"),
            ("augment", "erase_probability", 2.0, "must lie in [0, 1]"),
            ("augment", "erase_area", [0.3, 0.2], "must rise within (0, 1)"),
            ("augment", "erase_area", [0.0, 0.2], "must rise within (0, 1)"),
        ],
    )
    def test_recipes(self, prefix, part, name, value, what):
        tree = {part: {name: value}}
        if prefix:
            tree = {prefix.rstrip("."): tree}
        with pytest.raises(UsageError, match=re.escape(f"{prefix}{part}.{name} {what}.")):
            c.from_dict(tree)

    def test_a_batch_is_shared_evenly(self):
        with pytest.raises(UsageError, match=r"train.batch_size must divide evenly among train.p"):
            c.from_dict({"train": {"batch_size": 9, "processes": 2}})
        assert c.from_dict({"train": {"batch_size": 9, "processes": 3}}).train.processes == 3


class TestRoundTrip:
    @pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
    def test_shipped_configs_come_back_equal(self, path, written):
        config = c.load(path)
        assert c.load(written(c.to_toml(config))) == config

    @given(
        name=FOLDER_NAMES,
        source=WORDS,
        models=st.lists(WORDS, max_size=3, unique=True),
        seeds=st.lists(st.integers(0, 2**62), min_size=1, max_size=3, unique=True),
        rate=st.floats(1e-12, 1e12, exclude_min=True),
        translate=st.floats(0, 47.5, allow_subnormal=False),
        flip=st.booleans(),
        epochs=st.integers(1, 10**6),
        schedule=st.sampled_from(["constant", "cosine", "step", "one-cycle"]),
        area=st.tuples(st.floats(1e-6, 0.5), st.floats(0.5, 0.999)),
    )
    def test_any_config_comes_back_equal(
        self, tmp_path_factory, name, source, models, seeds, rate, translate, flip, epochs,
        schedule, area,
    ):  # fmt: skip
        train = TrainConfig(learning_rate=rate, epochs=epochs, schedule=schedule)
        config = dataclasses.replace(
            Config(),
            name=name,
            models=("full", *(model for model in models if model != "full")),
            seeds=tuple(seeds),
            data=c.DataConfig(source=source, skip_bad=flip),
            train=train,
            augment=AugmentConfig(flip=flip, translate_px=translate, erase_area=area),
            finetune=c.Recipe(dataclasses.replace(train, epochs=epochs + 1)),
        )
        path = tmp_path_factory.getbasetemp() / "config.toml"
        path.write_text(c.to_toml(config), encoding="utf-8", newline="")
        assert c.load(path) == config
        assert c.from_dict(c.as_plain(config)) == config

    def test_model_config_from_a_header(self):
        model = ModelConfig(architecture="compact", mean=(0.4,), dropout=0.2)
        assert c.model_config(c.as_plain(model), "header") == model
        with pytest.raises(UsageError, match=r"header: unknown key model.stemm; did you mean"):
            c.model_config({"stemm": "3x3"}, "header")


class TestHash:
    def test_values_count_and_layout_does_not(self, written):
        one = c.load(written("[train]\nepochs = 3\nlearning_rate = 0.10"))
        other = c.load(written("# same\n[augment]\n[train]\nlearning_rate = 1e-1\nepochs = 3"))
        assert c.config_hash(one) == c.config_hash(other)
        assert re.fullmatch("[0-9a-f]{16}", c.config_hash(one))

    @pytest.mark.parametrize("cls", [TrainConfig, AugmentConfig, ModelConfig, c.EvaluateConfig])
    def test_every_field_counts(self, cls):
        changed = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v + 0.5}
        hashes = {c.config_hash(cls())}
        for field in dataclasses.fields(cls):
            value = getattr(cls(), field.name)
            other = changed.get(type(value), lambda v: (*v, v[0]) if v else "text")(value)
            hashes.add(c.config_hash(dataclasses.replace(cls(), **{field.name: other})))
        assert len(hashes) == 1 + len(dataclasses.fields(cls))


@pytest.mark.parametrize("cls", [Config, *(v for v in vars(c).values() if isinstance(v, type))])
def test_every_option_has_its_sentence(cls):
    """The string under each field is what documents it."""
    if not dataclasses.is_dataclass(cls) or cls in (Config, c.Recipe):
        return
    source = Path(c.__file__).read_text(encoding="utf-8")
    body = source.split(f"class {cls.__name__}:")[1].split("\n\n\n")[0]
    for field in dataclasses.fields(cls):
        assert re.search(rf'^    {field.name}: [^\n]+\n    """[A-Z`].+?\."""$', body, re.M | re.S)
