"""Predictions of other programs: their words, their gaps, their mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import hemiface, tiny_predictions
from hemiface.data.outside import ImportOptions, import_predictions
from hemiface.errors import DamagedError, HemifaceError, UsageError
from hemiface.stats.matrix import matrix
from hemiface.stats.sample import Sample
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, read_predictions, write_predictions

MODELS = "model,name,seed,conditions,flips,selected_on\n"
BARE = ["image", "label", *PROBABILITY_COLUMNS]


def write(folder: Path, table: pd.DataFrame, name: str = "theirs.csv", **options: object) -> Path:
    table.to_csv(folder / name, index=False, **options)
    return folder / name


def described(folder: Path) -> Path:
    path = folder / "models.csv"
    path.write_text(
        MODELS + "full-seed0,full,0,full,true,validation\nupper-seed0,upper,0,full;upper,no,dev\n"
    )
    return path


def test_what_was_written_comes_back_with_the_same_scores(tmp_path):
    ours = tiny_predictions(21)
    path = write(tmp_path, ours.table)
    theirs = import_predictions([path], ImportOptions("tiny", models=described(tmp_path)))
    assert theirs.facts["unknown"] == []
    assert theirs.missing == ""
    pd.testing.assert_frame_equal(matrix(theirs), matrix(ours))
    pd.testing.assert_frame_equal(
        matrix(Sample.of(theirs, "leak-free")), matrix(Sample.of(ours, "leak-free"))
    )
    assert theirs.models[1] == {
        "model": "upper-seed0", "name": "upper", "seed": 0, "trained_on": "full, upper",
        "conditions": ["full", "upper"], "flips": False, "selected_on": "dev",
    }  # fmt: skip


def test_the_least_that_a_table_can_have(tmp_path):
    table = tiny_predictions(14).table
    cell = table[(table["model"] == "full-seed0") & (table["condition"] == "full")]
    found = import_predictions([write(tmp_path, cell[BARE])], ImportOptions("mine"))
    assert found.facts["unknown"] == ["group", "leaked", "selection"]
    assert set(found.table["model"]) == {"theirs"}
    assert set(found.table["dataset"]) == {"mine"}
    assert (found.table["group"] == found.table["image"]).all()
    assert found.names.to_dict("records") == [{"model": "theirs", "name": "theirs", "seed": 0}]
    assert "theirs" in found.missing
    assert "--models" in found.missing
    sample = Sample.of(found, "leak-free")
    assert sample.cells == []


def test_a_files_own_column_says_of_which_data_set_each_row_is(tmp_path, caplog):
    table = tiny_predictions(14).table
    cell = table[(table["model"] == "full-seed0") & (table["condition"] == "full")]
    bare = write(tmp_path, cell[BARE])
    with pytest.raises(UsageError, match=r"data set of theirs\.csv has no name; give it one with"):
        import_predictions([bare], ImportOptions())
    named = cell[BARE].assign(dataset=["rafd", "kdef"] * (len(cell) // 2))
    path = write(tmp_path, named, "named.csv")
    found = import_predictions([path], ImportOptions())
    assert set(found.table["dataset"]) == {"rafd", "kdef"}
    assert not caplog.records
    found = import_predictions([path], ImportOptions("both"))
    assert set(found.table["dataset"]) == {"rafd", "kdef"}
    assert "named.csv has a column dataset, which counts in place of --dataset." in caplog.text


def test_what_is_true_is_not_taken_for_what_is_predicted(tmp_path):
    """Files have columns of 0 and 1 for each class beside the probabilities."""
    table = tiny_predictions(14).table.query("model == 'full-seed0' and condition == 'full'")
    truth = pd.get_dummies(table["label"])[list(EMOTIONS)].astype(int)
    path = write(tmp_path, pd.concat([table[["image", "label"]], truth, table[BARE[2:]]], axis=1))
    found = import_predictions([path], ImportOptions("mine"))
    values = table[list(PROBABILITY_COLUMNS)].to_numpy()
    assert found.table[list(PROBABILITY_COLUMNS)].to_numpy() == pytest.approx(values)
    named = dict(zip(PROBABILITY_COLUMNS, EMOTIONS, strict=True))
    path = write(tmp_path, table[BARE].rename(columns=named).assign(Anger=0.5))
    with pytest.raises(UsageError, match=r"could be p_angry \(angry, Anger\).*--column p_angry"):
        import_predictions([path], ImportOptions("mine"))


def test_a_networks_own_labels_are_not_the_truth(tmp_path):
    faces = (
        tiny_predictions(14)
        .table[BARE]
        .assign(source="a.jpg", frame=0, face=0, x_px=1, schema=5, shown="happy")
    )
    path = write(tmp_path, faces, "faces.csv")
    with pytest.raises(UsageError, match=r"faces.csv is what hemiface predict wrote.* --column"):
        import_predictions([path], ImportOptions("mine"))
    cell = faces.iloc[:14].assign(label="sad")
    found = import_predictions(
        [write(tmp_path, cell, "more.csv")], ImportOptions("mine", columns={"label": "shown"})
    )
    assert set(found.table["label"]) == {"happy"}


def test_a_label_beside_the_seven_may_contradict_too(tmp_path):
    cell = tiny_predictions(14).table[BARE].drop_duplicates("image")
    other = cell.assign(label=["contempt", *cell["label"].iloc[1:]])
    files = [write(tmp_path, cell, "a.csv"), write(tmp_path, other, "b.csv")]
    with pytest.raises(DamagedError, match=r"has label 'contempt' and '\w+' in different rows"):
        import_predictions(files, ImportOptions("mine"))


def test_blank_groups_are_no_group(tmp_path):
    table = tiny_predictions(14).table.query("model == 'full-seed0' and condition == 'full'")
    table["group"] = ["a", "a", " "] + [""] * 11
    found = import_predictions([write(tmp_path, table)], ImportOptions("mine")).table
    assert found["group"].tolist() == ["a", "a", *found["image"].iloc[2:]]


def test_images_called_as_groups_are_stay_alone(tmp_path):
    table = tiny_predictions(14).table.query("model == 'full-seed0' and condition == 'full'")
    table = table.assign(image=[str(one) for one in range(14)], group=[""] * 9 + list("00112"))
    found = import_predictions([write(tmp_path, table)], ImportOptions("mine")).table
    assert found["group"].nunique() == 9 + 3
    assert found.groupby("group")["image"].agg(set).loc[["0", "1", "2"]].tolist() == [
        {"9", "10"}, {"11", "12"}, {"13"},
    ]  # fmt: skip


def test_two_columns_of_one_name(tmp_path):
    table = tiny_predictions(7).table.query("model == 'full-seed0' and condition == 'full'")
    path = write(tmp_path, table[BARE].assign(**{" image": table["image"]}))
    with pytest.raises(DamagedError, match="has two columns image"):
        import_predictions([path], ImportOptions("mine"))
    path.write_text(path.read_text().replace(", image", ",label", 1))
    with pytest.raises(DamagedError, match="has two columns label"):
        import_predictions([path], ImportOptions("mine"))


def test_rows_with_a_cell_more_than_the_header(tmp_path):
    """R writes names of rows without a name for their column; a comma at the end is a mistake."""
    table = tiny_predictions(7).table.query("model == 'full-seed0' and condition == 'full'")
    path = write(tmp_path, table[BARE])
    wanted = import_predictions([path], ImportOptions("mine")).table
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{n},{row}" for n, row in enumerate(rows, 1))]))
    pd.testing.assert_frame_equal(import_predictions([path], ImportOptions("mine")).table, wanted)
    path.write_text("\n".join([header, *(f"{row}," for row in rows)]))
    with pytest.raises(DamagedError, match="a comma at the end of each row"):
        import_predictions([path], ImportOptions("mine"))


def test_what_is_read_is_not_written_over(tmp_path, monkeypatch, capsys):
    path = write(tmp_path, tiny_predictions(7).table)
    before = path.read_bytes()
    assert hemiface(monkeypatch, "import", path, "--dataset", "d", "--out", path, "--replace") == 2
    assert "is read here" in capsys.readouterr().err
    other = write(tmp_path, tiny_predictions(7).table, "other.csv")
    assert hemiface(monkeypatch, "import", path, "--dataset", "d", "--out", other) == 2
    assert "--replace" in capsys.readouterr().err
    assert path.read_bytes() == other.read_bytes() == before


@pytest.mark.parametrize("column", ["model", "image"])
def test_a_blank_name_is_named_with_its_line(tmp_path, column):
    table = tiny_predictions(7).table
    table.loc[2, column] = " "
    with pytest.raises(DamagedError, match=f"line 4: the {column} is blank"):
        import_predictions([write(tmp_path, table)], ImportOptions("mine"))


def test_one_column_may_be_two_of_ours(tmp_path):
    table = tiny_predictions(7).table.query("model == 'full-seed0' and condition == 'full'")
    path = write(tmp_path, table[BARE].rename(columns={"image": "file"}))
    columns = {"image": "file", "group": "file"}
    found = import_predictions([path], ImportOptions("mine", columns=columns))
    assert (found.table["group"] == found.table["image"]).all()
    assert "group" not in found.unknown


def test_names_are_not_guessed_from_ids(tmp_path):
    found = import_predictions([write(tmp_path, tiny_predictions(7).table)], ImportOptions("x"))
    assert set(found.names["name"]) == {"full-seed0", "upper-seed0"}


def test_the_words_of_others(tmp_path):
    table = tiny_predictions(14).table
    other = {"angry": "Anger", "disgust": "disgusted", "happy": "HAPPINESS", "sad": "Sadness"}
    theirs = table.assign(
        label=table["label"].replace(other),
        split=table["split"].replace("test", "PrivateTest"),
        condition=table["condition"].replace("upper", "eyes covered"),
    ).rename(columns={"image": "file", "p_fear": "Fearful", "p_surprise": "surprised"})
    path = write(tmp_path, theirs, sep=";", encoding="utf-8-sig")
    options = ImportOptions("tiny", columns={"image": "file"}, conditions={"eyes covered": "upper"})
    found = import_predictions([path], options)
    pd.testing.assert_frame_equal(found.table[BARE], table[BARE], check_dtype=False)
    assert set(found.table["split"]) == {"test"}
    assert found.table["condition"].tolist() == table["condition"].tolist()


def test_numeric_labels_need_the_order_of_classes(tmp_path):
    table = tiny_predictions(14).table
    order = ["happiness", "sad", "angry", "neutral", "fear", "disgust", "surprise"]
    names = ["happy", *order[1:]]
    path = write(tmp_path, table.assign(label=table["label"].map(names.index)))
    with pytest.raises(
        UsageError, match=r"line 2: label '2' is unknown; explain it with --classes"
    ):
        import_predictions([path], ImportOptions("x"))
    found = import_predictions([path], ImportOptions("x", classes=tuple(order)))
    assert found.table["label"].tolist() == table["label"].tolist()


def test_a_class_named_twice_would_be_another_emotion(tmp_path):
    path = write(tmp_path, tiny_predictions(7).table)
    order = ("angry", "anger", "fear", "happy", "sad", "surprise", "neutral")
    with pytest.raises(UsageError, match=r"--classes names angry twice \(angry, anger\)"):
        import_predictions([path], ImportOptions("x", classes=order))


def test_labels_are_read_as_those_of_pictures_are(tmp_path, monkeypatch, caplog):
    table = tiny_predictions(14).table
    others = table["image"].isin(table["image"].iloc[[0, 1, 7]])
    theirs = table.assign(label=table["label"].replace("fear", "afraid"))
    theirs.loc[others, "label"] = "Contempt"
    # A label that nobody counts may come with any probabilities, as of an eighth class.
    theirs.loc[others, "p_sad"] = 0
    path, out = write(tmp_path, theirs), tmp_path / "predictions.parquet"
    assert hemiface(monkeypatch, "import", path, "--dataset", "x", "--out", out) == 0
    assert "left out (12 contempt)" in caplog.text
    found = read_predictions(out)
    assert found.table["label"].tolist() == table["label"][~others].tolist()
    assert found.facts["data"]["other_labels"] == {"contempt": 3}
    write(tmp_path, theirs.assign(label="contempt"))
    with pytest.raises(DamagedError, match="has no row of angry"):
        import_predictions([path], ImportOptions("x"))


def test_numbers_as_pandas_writes_them_beside_a_gap(tmp_path):
    table = tiny_predictions(14).table
    path = write(tmp_path, table.assign(label=table["label"].map(EMOTIONS.index).astype(float)))
    found = import_predictions([path], ImportOptions("x", classes=EMOTIONS))
    assert found.table["label"].tolist() == table["label"].tolist()
    with pytest.raises(UsageError, match=r"label '6' is unknown; --classes names 0 to 5"):
        import_predictions([path], ImportOptions("x", classes=EMOTIONS[:6]))


def test_several_files_are_several_models(tmp_path):
    table = tiny_predictions(7).table
    cell = table[(table["model"] == "full-seed0") & (table["condition"] == "full")][BARE]
    paths = [write(tmp_path, cell, f"{name}.csv") for name in ("one", "two")]
    found = import_predictions(paths, ImportOptions("x"))
    assert found.table["model"].tolist() == ["one"] * 7 + ["two"] * 7
    assert [one["file"] for one in found.facts["imported_from"]] == ["one.csv", "two.csv"]


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-9e-4, 9e-4), row=st.integers(0, 6))
def test_what_rounding_left_over_is_shared_out(tmp_path_factory, shift, row):
    table = tiny_predictions(7).table
    cell = table[(table["model"] == "full-seed0") & (table["condition"] == "full")][BARE].copy()
    values = cell[list(PROBABILITY_COLUMNS)].to_numpy().copy()
    values[row] *= 1 + shift
    cell[list(PROBABILITY_COLUMNS)] = values
    path = write(tmp_path_factory.mktemp("rounded"), cell)
    found = import_predictions([path], ImportOptions("x")).table[list(PROBABILITY_COLUMNS)]
    assert found.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)
    assert (found.to_numpy().argmax(axis=1) == values.argmax(axis=1)).all()


@pytest.mark.parametrize(("places", "seed"), [(2, 0), (3, 1)])
def test_few_places_round_to_more_than_a_thousandth(tmp_path, places, seed):
    exact = np.random.default_rng(seed).dirichlet(np.ones(7), 400)
    table = pd.DataFrame({"image": [f"i{n}" for n in range(400)], "label": "sad"})
    rounded = exact.round(places)
    assert np.abs(rounded.sum(axis=1) - 1).max() > 1.5 * 10.0**-places
    table[list(PROBABILITY_COLUMNS)] = rounded.astype(np.float32).astype(float)
    found = import_predictions([write(tmp_path, table)], ImportOptions("x")).table
    np.testing.assert_allclose(found[list(PROBABILITY_COLUMNS)], exact, atol=3 * 10.0**-places)
    # The same miss of probabilities with more places is none of rounding.
    table[list(PROBABILITY_COLUMNS)] = exact * 1.0015
    with pytest.raises(DamagedError, match=r"line 2: .*as these are, to 0\.001"):
        import_predictions([write(tmp_path, table)], ImportOptions("x"))


def test_rows_of_two_files_are_told_apart(tmp_path):
    table = tiny_predictions(7).table
    paths = [write(tmp_path, table.iloc[some], name) for some, name in
             ((slice(0, 9), "a.csv"), (slice(8, None), "b.csv"))]  # fmt: skip
    with pytest.raises(DamagedError, match=r"^a.csv, line 10, and b.csv, line 2, are both of"):
        import_predictions(paths, ImportOptions("x"))


@pytest.mark.parametrize("word", ["false", "0.0"])
def test_no_leak_that_the_table_itself_shows_is_denied(tmp_path, word):
    table = tiny_predictions(14).table
    table["split"] = np.where(table["image"] == f"{0:016x}", "train", "test")
    table["leaked"] = word
    with pytest.raises(
        DamagedError,
        match=rf"line 3: leaked is false, but group {0:016x} of this test image is in train",
    ):
        import_predictions([write(tmp_path, table)], ImportOptions("x"))
    table.loc[table["group"] == f"{0:016x}", "leaked"] = "1.0"
    found = import_predictions([write(tmp_path, table)], ImportOptions("x")).table
    assert found["leaked"].sum() == 8


def change(column: str, value: object, at: int = 3):
    def changed(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object})
        table.loc[at, column] = value
        return table

    return changed


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (change("p_sad", 3), DamagedError, "theirs.csv, line 5: the seven probabilities are not"),
        (change("p_sad", "n/a"), DamagedError, "theirs.csv, line 5: the seven probabilities"),
        (change("p_sad", -0.5), DamagedError, "line 5: the seven probabilities"),
        (
            change("label", "bored"),
            UsageError,
            "line 5: label 'bored' is unknown; write one of angry",
        ),
        (
            change("split", "fold 3"),
            UsageError,
            "line 5: split 'fold 3' is unknown; explain it with",
        ),
        (change("condition", "hat"), UsageError, "line 5: condition 'hat' is unknown; explain it"),
        (change("leaked", "maybe"), UsageError, "line 5: leaked 'maybe' is unknown"),
        (change("label", "happy", 0), DamagedError, "has label 'happy' and 'angry' in different"),
        (lambda t: t.drop(columns="p_sad"), UsageError, "no column p_sad; it has image, condition"),
        (lambda t: t.drop(columns="label"), UsageError, "--column label=NAME"),
        (lambda t: t.iloc[:0], DamagedError, "theirs.csv has no rows"),
        (lambda t: t.drop(columns="p_sad"), UsageError, "p_sad=NAME, or add a column of zeros"),
        (
            lambda t: pd.concat([t, t.iloc[1:2]]),
            DamagedError,
            "theirs.csv, line 3, and theirs.csv, line 30, are both of image 0000000000000001 under",
        ),
        (
            lambda t: t.drop(index=3),
            DamagedError,
            "theirs.csv: model full-seed0 has 6 of 7 test images under full, and not "
            "0000000000000003; add the rows",
        ),
    ],
)
def test_mistakes_are_named_with_their_line_and_mend(tmp_path, spoil, error, says):
    path = write(tmp_path, spoil(tiny_predictions(7).table))
    with pytest.raises(error) as caught:
        import_predictions([path], ImportOptions("tiny"))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ("full-seed0,full,zero,,,\n", DamagedError, "line 2: seed 'zero' must be a whole number"),
        ("full-seed0,,0,,,\n", DamagedError, "line 2 gives model full-seed0 no name"),
        ("full-seed0,full,0,,perhaps,\n", DamagedError, "flips 'perhaps' must be true or false"),
        ("full-seed0,full,0,hat,,\n", UsageError, "hat"),
        ("any-seed0,any,0,,,\n", UsageError, "any-seed0, which the predictions don't hold"),
        ("full-seed0,full,0,,,\nfull-seed0,full,1,,,\n", DamagedError, "full-seed0 twice"),
        (
            "full-seed0,net,0,,,\nupper-seed0,net,0,,,\n",
            DamagedError,
            "models.csv, line 3: model upper-seed0 is net with seed 0, as full-seed0 is; give each",
        ),
    ],
)
def test_mistakes_in_the_table_of_models(tmp_path, rows, error, says):
    path = write(tmp_path, tiny_predictions(7).table)
    (tmp_path / "models.csv").write_text(MODELS + rows)
    with pytest.raises(error) as caught:
        import_predictions([path], ImportOptions("tiny", models=tmp_path / "models.csv"))
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3\n4", b'"'])
def test_no_csv_is_one_sentence(tmp_path, content):
    (tmp_path / "theirs.csv").write_bytes(content)
    with pytest.raises(HemifaceError):
        import_predictions([tmp_path / "theirs.csv"], ImportOptions("x"))
    with pytest.raises(DamagedError, match=r"nothing.csv doesn't exist"):
        import_predictions([tmp_path / "nothing.csv"], ImportOptions("x"))


def test_the_command_writes_a_table_and_says_what_is_unknown(tmp_path, monkeypatch, capsys):
    table = tiny_predictions(14).table.drop(columns=["group", "leaked"])
    table = table.assign(label=table["label"].map(EMOTIONS.index))
    path, out = write(tmp_path, table), tmp_path / "predictions.parquet"
    arguments = ["import", path, "--dataset", "tiny", "--classes", ",".join(EMOTIONS)]
    assert hemiface(monkeypatch, *arguments, "--out", out) == 0
    said = capsys.readouterr().out
    for words in ("Name and seed aren't known", "No column group", "leak-free", "56 rows"):
        assert words in said
    assert read_predictions(out).facts["unknown"] == ["group", "leaked", "selection"]
    models = ["--models", described(tmp_path), "--json", "--out", out]
    assert hemiface(monkeypatch, *arguments, *models) == 0
    assert json.loads(capsys.readouterr().out)["unknown"] == ["group", "leaked"]
    assert np.isclose(read_predictions(out).table[list(PROBABILITY_COLUMNS)].sum(axis=1), 1).all()
    whole = out.read_bytes()
    write(tmp_path, table[table["condition"] == "full"])
    assert hemiface(monkeypatch, *arguments, "--out", out) == 2
    assert "holds 56 rows, more than the 28 that would" in capsys.readouterr().err
    assert out.read_bytes() == whole
    assert hemiface(monkeypatch, *arguments, "--out", out, "--replace") == 0
    capsys.readouterr()
    assert hemiface(monkeypatch, *arguments, "--split", "test", "--out", out) == 2
    assert "--split test must have the form A=B" in capsys.readouterr().err


class TestBeside:
    """Theirs beside a table of ours: the same images, splits, groups and leaks."""

    @pytest.fixture
    def ours(self, tmp_path):
        predictions = tiny_predictions(28)
        table = predictions.table.assign(
            split=np.where(predictions.table["image"] < f"{10:016x}", "validation", "test")
        )
        ours = replace(predictions, table=table)
        write_predictions(ours, tmp_path / "ours.parquet")
        return ours

    @pytest.fixture
    def options(self, tmp_path):
        models = tmp_path / "models.csv"
        models.write_text("model,name,seed\noriginal,original,0\n")
        return ImportOptions(models=models, beside=tmp_path / "ours.parquet")

    def theirs(self, folder, ours, split=("validation", "test"), name="original.csv", **columns):
        """Write our baseline's answers on whole faces as somebody else's, without names."""
        table = ours.table
        table = table[(table["model"] == "full-seed0") & (table["condition"] == "full")]
        table = table[table["split"].isin(split)]
        return write(folder, table[BARE[1:]].assign(**columns), name)

    @pytest.mark.parametrize("split", [("test",), ("validation",), ("validation", "test")])
    def test_rows_without_names_are_in_its_order(self, tmp_path, ours, options, split):
        both = import_predictions([self.theirs(tmp_path, ours, split)], options)
        old = both.table["model"] == "full-seed0"
        here = old & (both.table["condition"] == "full") & both.table["split"].isin(split)
        pd.testing.assert_frame_equal(
            both.table[both.table["model"] == "original"]
            .drop(columns="model")
            .reset_index(drop=True),
            both.table[here].drop(columns="model").reset_index(drop=True),
        )
        assert len(both) == len(ours) + here.sum()
        assert both.facts["unknown"] == ["selection"]

    def test_rows_that_fit_two_splits(self, tmp_path, options):
        """Both have a face of each emotion, sorted: the order proves nothing."""
        predictions = tiny_predictions(14)
        is_first = predictions.table["image"] < f"{7:016x}"
        table = predictions.table.assign(
            split=np.where(is_first, "validation", "test"),
            label=np.asarray(EMOTIONS)[
                np.asarray([int(i, 16) % 7 for i in predictions.table["image"]])
            ],
        )
        ours = replace(predictions, table=table)
        write_predictions(ours, tmp_path / "ours.parquet")
        path = self.theirs(tmp_path, ours, ("test",))
        with pytest.raises(UsageError, match="fit validation and test beside"):
            import_predictions([path], options)
        for split in ("validation", "test"):
            path = self.theirs(tmp_path, ours, (split,))
            pd.read_csv(path).assign(split=split).to_csv(path, index=False)
            both = import_predictions([path], options)
            assert set(both.table.query("model == 'original'")["split"]) == {split}

    def test_both_are_scored_on_the_same_images_leak_free_too(self, tmp_path, ours, options):
        both = import_predictions([self.theirs(tmp_path, ours)], options)
        assert 0 < both.table["leaked"].mean() < 1
        for protocol in ("standard", "leak-free"):
            scores = matrix(Sample.of(both, protocol)).set_index(["model", "condition", "metric"])
            whole = scores.xs("full", level="condition")
            pd.testing.assert_frame_equal(
                whole.loc[["full"]].reset_index(drop=True),
                whole.loc[["original"]].reset_index(drop=True),
            )

    def test_images_may_be_named_in_any_order(self, tmp_path, ours, options):
        table = ours.table[
            (ours.table["model"] == "full-seed0") & (ours.table["condition"] == "full")
        ]
        shuffled = table[BARE].sample(frac=1, random_state=0)
        both = import_predictions([write(tmp_path, shuffled, "original.csv")], options)
        found = both.table[both.table["model"] == "original"].set_index("image").loc[table["image"]]
        assert (found["leaked"].to_numpy() == table["leaked"].to_numpy()).all()
        assert found["p_sad"].to_numpy() == pytest.approx(table["p_sad"].to_numpy())

    def test_names_of_files_say_what_is_hidden(self, tmp_path, ours, options):
        paths = [
            self.theirs(tmp_path, ours, name=f"original_on_{hidden}.csv")
            for hidden in ("full", "up")
        ]
        options = replace(
            options, pattern="(?P<model>.+)_on_(?P<condition>.+)", conditions={"up": "upper"}
        )
        both = import_predictions(paths, options)
        found = both.table[both.table["model"] == "original"]
        assert found["condition"].value_counts().to_dict() == {"full": 28, "upper": 28}

    @pytest.mark.parametrize(
        ("pattern", "says"),
        [
            ("(", "no regular expression"),
            ("(?P<emotion>.+)", "must name its groups model, condition, split"),
            (".+", "must name its groups"),
            ("(?P<model>x+)", "doesn't fit the name original.csv"),
        ],
    )
    def test_mistakes_in_the_pattern(self, tmp_path, ours, options, pattern, says):
        path = self.theirs(tmp_path, ours)
        with pytest.raises(UsageError, match=says):
            import_predictions([path], replace(options, pattern=pattern))

    def test_what_does_not_fit(self, tmp_path, ours, options):
        path = self.theirs(tmp_path, ours)
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:-1]))
        with pytest.raises(UsageError, match=r"original.csv has 27 rows .*10 validation, 18 test"):
            import_predictions([path], options)
        path.write_text("\n".join([lines[0], *lines[:0:-1]]))
        with pytest.raises(UsageError, match="with these labels in this order"):
            import_predictions([path], options)
        named = [lines[0] + ",image", lines[1] + ",i999"]
        path.write_text("\n".join(named))
        with pytest.raises(UsageError, match="line 2: image i999 isn't in the table beside"):
            import_predictions([path], options)
        label = ours.table["label"].iloc[0]
        other = next(one for one in EMOTIONS if one != label)
        named[1] = lines[1].replace(label, other, 1) + f",{ours.table['image'].iloc[0]}"
        path.write_text("\n".join(named))
        with pytest.raises(DamagedError, match=f"is labelled {other}, beside {label}"):
            import_predictions([path], options)
        self.theirs(tmp_path, ours, image=ours.table["image"].iloc[:28])
        pd.read_csv(path).iloc[:-1].to_csv(path, index=False)
        with pytest.raises(DamagedError, match=rf"17 of 18 test images under full, .*{27:016x}"):
            import_predictions([path], options)

    def test_one_name_for_two_models(self, tmp_path, ours, options):
        path = self.theirs(tmp_path, ours, name="full-seed0.csv")
        with pytest.raises(UsageError, match="has a model full-seed0 too"):
            import_predictions([path], replace(options, models=None))
        options.models.write_text("model,name,seed\noriginal,full,0\n")
        with pytest.raises(UsageError, match="has full with seed 0 too, as full-seed0; give orig"):
            import_predictions([self.theirs(tmp_path, ours)], options)

    def test_the_command_and_what_reads_its_table(
        self, tmp_path, ours, options, monkeypatch, capsys
    ):
        path, out = self.theirs(tmp_path, ours), tmp_path / "both.parquet"
        arguments = ["--beside", options.beside, "--models", options.models, "--out", out]
        assert hemiface(monkeypatch, "import", path, *arguments) == 0
        assert f"{len(ours) + 28} rows" in capsys.readouterr().out
        assert hemiface(monkeypatch, "compare", out, "--protocol", "leak-free") == 0

    def test_the_table_beside_is_not_written_over(
        self, tmp_path, ours, options, monkeypatch, capsys
    ):
        path, beside = self.theirs(tmp_path, ours), options.beside
        before = beside.read_bytes()
        arguments = ["import", path, "--beside", beside, "--out", beside, "--replace"]
        assert hemiface(monkeypatch, *arguments) == 2
        assert "ours.parquet is read here" in capsys.readouterr().err
        assert beside.read_bytes() == before
