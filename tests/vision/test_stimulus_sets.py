"""Sets of stimuli: what is in them is what their manifest says, in a psych-DS folder."""

import csv
import json
import math
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from builders import mesh, without_privileges
from hemiface.data.phantom import make as phantom
from hemiface.data.stimulus_set import MANIFEST, StimulusSet
from hemiface.errors import DamagedError, MissingError, UsageError
from hemiface.files import sha256_file
from hemiface.occlusion.bubbles import bubble_centres, through_bubbles
from hemiface.occlusion.composites import chimera, composite
from hemiface.occlusion.conditions import condition, hidden_mask, image_seeds
from hemiface.occlusion.face_lines import centred, hide_by_lines, lines_of
from hemiface.occlusion.tiles import tile_map
from hemiface.tables import EMOTIONS
from hemiface.vision.finding.alignment import FRAME, align, cut_out
from hemiface.vision.finding.detector import FoundFace
from hemiface.vision.stimulus_sets.faces import find_faces
from hemiface.vision.stimulus_sets.kinds import known_kinds
from hemiface.vision.stimulus_sets.make import SetOptions, make_set
from hemiface.vision.stimulus_sets.order import Dealing, deal

EVERY = ("halves", "composites", "chimeras", "bubbles", "tiles", "mask", "sunglasses", "left@mean")
SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fourteen rendered faces in class folders."""
    root = tmp_path_factory.mktemp("faces")
    for index, pixels in enumerate(phantom.render(np.arange(14) % 7, seed=0)):
        place = root / EMOTIONS[index % 7]
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"f{index:02}.png")
    return root


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "out"
    options = SetOptions(kinds=EVERY, side_px=SIDE, samples=2, bubbles=5, name="try1")
    make_set([str(folder)], out, options, Dealing(participants=4, blocks=2))
    return StimulusSet.read(out)


def picture(known, one):
    with Image.open(known.folder / one.file) as opened:
        return np.array(opened)


def of(known, condition, picture="f00.png"):
    return [one for one in known.stimuli if (one.condition, one.picture) == (condition, picture)]


class TestContent:
    def test_every_face_is_there_in_every_condition(self, made):
        counts = Counter(one.condition for one in made.stimuli)
        assert set(counts) == {
            "full", "upper", "lower", "left", "right", "left@mean", "chimera-left",
            "chimera-right", "composite-aligned-upper", "composite-aligned-lower",
            "composite-misaligned-upper", "composite-misaligned-lower", "bubbles", "tiles", "mask",
            "sunglasses",
        }  # fmt: skip
        for name, count in counts.items():
            assert count == (28 if name in ("bubbles", "tiles") else 14), name
        assert len({one.stimulus for one in made.stimuli}) == len(made.stimuli)
        for one in made.stimuli:
            assert sha256_file(made.folder / one.file) == one.sha256
            place = int(one.picture[1:3])
            assert one.emotion == EMOTIONS[place % 7]
            assert picture(made, one).shape == (SIDE, SIDE)
            assert not one.reference or one.reference in counts

    @pytest.mark.parametrize("key", ["upper", "lower", "left", "right"])
    def test_halves_hide_exactly_their_half(self, made, key):
        (whole,), (half,) = of(made, "full"), of(made, key)
        mask = hidden_mask(condition(key), SIDE, SIDE)
        expected = picture(made, whole).copy()
        expected[mask] = 0
        np.testing.assert_array_equal(picture(made, half), expected)

    def test_composites_are_of_their_two_faces_and_emotions(self, made):
        for one in (one for one in made.stimuli if one.kind == "composite"):
            assert one.emotion != one.other_emotion
            names = (one.picture, one.other_picture)
            upper, lower = names if one.cue == "upper" else names[::-1]
            pair = [picture(made, of(made, "full", name)[0]) for name in (upper, lower)]
            apart = (0,) if "-aligned" in one.condition else (SIDE // 3, -SIDE // 3)
            found = picture(made, one)
            assert any(np.array_equal(found, composite(*pair, by)) for by in apart)

    def test_chimeras(self, made):
        (whole,) = of(made, "full")
        for side in ("left", "right"):
            (one,) = of(made, f"chimera-{side}")
            np.testing.assert_array_equal(picture(made, one), chimera(picture(made, whole), side))

    def test_apertures_are_those_that_a_network_sees(self, made):
        (whole,) = of(made, "full")
        places = bubble_centres(int(image_seeds(["f00.png"])[0]), 0, 2, 5)
        for one, centres in zip(of(made, "bubbles"), places, strict=True):
            assert one.bubbles == tuple(centres.tolist())
            shown = through_bubbles(picture(made, whole)[None], centres[None], 4.0, grid_px=48)
            np.testing.assert_array_equal(picture(made, one), shown[0])

    def test_the_tiles_that_are_named_are_those_that_are_seen(self, made):
        (whole,) = of(made, "full")
        first, second = of(made, "tiles")
        assert first.tiles != second.tiles
        for one in (first, second):
            assert len(one.tiles) == 24
            seen = np.isin(tile_map(SIDE, SIDE), one.tiles)
            expected = np.where(seen, picture(made, whole), 0)
            np.testing.assert_array_equal(picture(made, one), expected)

    def test_the_same_seed_makes_the_same_set_and_another_does_not(self, folder, tmp_path):
        options = SetOptions(kinds=("composites", "tiles", "mask"), side_px=48, samples=1)
        dealing = Dealing(participants=2)

        def hashes(name, options):
            make_set([str(folder)], tmp_path / name, options, dealing)
            files = sorted((tmp_path / name).rglob("*.*"))
            return {str(f.relative_to(tmp_path / name)): sha256_file(f) for f in files}

        first = hashes("a", options)
        assert first == hashes("b", options)
        other = hashes("c", replace(options, seed=1))
        assert other.keys() == first.keys()
        changed = [name for name in first if first[name] != other[name] and "tiles" in name]
        assert len(changed) == 14


class TestOwnLines:
    """Halves that end at the face's own lines, found by made-up landmarks."""

    @pytest.fixture
    def lined(self, folder, tmp_path):
        def landmarks(pixels):
            # A tilted face off the middle; every emotion but angry is found.
            assert pixels.shape == (1, SIDE, SIDE)
            seen.append(1)
            found = mesh(SIDE * 0.45, SIDE * 0.55, angle_deg=10, scale=2)
            return (np.full_like(found, np.nan) if len(seen) <= 2 else found)[None]

        seen = []
        options = SetOptions(kinds=("lower", "composites"), side_px=SIDE)
        make_set([str(folder)], tmp_path / "set", options, Dealing(), landmarks=landmarks)
        return StimulusSet.read(tmp_path / "set"), len(seen)

    def test_each_face_is_looked_at_once_and_what_was_not_found_is_said(self, lined):
        known, looks = lined
        assert looks == 14
        halves = {one.picture: one.halves for one in known.stimuli if one.kind == "part"}
        assert Counter(halves.values()) == {"face": 12, "fallback": 2}
        for one in known.stimuli:
            if one.kind == "composite":
                names = {one.picture, one.other_picture}
                both = {halves[name] for name in names}
                assert one.halves == ("fallback" if "fallback" in both else "face")

    def test_parts_end_at_the_lines_and_composites_are_straightened(self, lined):
        known, _ = lined
        lines = lines_of(mesh(SIDE * 0.45, SIDE * 0.55, angle_deg=10, scale=2)[None], SIDE, SIDE)
        for one in known.stimuli:
            whole = picture(known, of(known, "full", one.picture)[0])[None]
            if one.halves != "face" or one.kind == "whole":
                continue
            if one.kind == "part":
                expected = hide_by_lines(whole, condition("lower"), lines)[0]
                np.testing.assert_array_equal(picture(known, one), expected)
            elif one.condition == "composite-aligned-upper":
                half = centred(whole, lines)[0][: SIDE // 2]
                np.testing.assert_array_equal(picture(known, one)[: SIDE // 2], half)


class TestLayout:
    def test_the_folder_is_psych_ds(self, made):
        """The rules of psych-DS 1.5.1 that are errors, one by one."""
        known = json.loads((made.folder / "dataset_description.json").read_text("utf-8"))
        assert known["@type"] == "Dataset"
        assert known["@context"] == "https://schema.org/"
        assert known["name"] == "try1"
        assert known["description"]
        variables = [one["name"] for one in known["variableMeasured"]]
        assert {one["@type"] for one in known["variableMeasured"]} == {"PropertyValue"}
        assert all(one["description"] for one in known["variableMeasured"])
        named = r"([a-z]+-[a-zA-Z0-9]+)(_[a-z]+-[a-zA-Z0-9]+)*_data\.csv"
        files = sorted((made.folder / "data").iterdir())
        assert len(files) == 2
        columns = set()
        for file in files:
            assert re.fullmatch(named, file.name)
            with file.open(encoding="utf-8", newline="") as lines:
                header, *rows = list(csv.reader(lines))
            assert len(set(header)) == len(header)
            assert {len(row) for row in rows} == {len(header)}
            columns |= set(header)
        assert columns == set(variables)
        assert len(variables) == len(set(variables))
        assert (made.folder / "README.md").is_file()

    def test_the_table_is_the_manifest(self, made):
        with (made.folder / "data" / "study-try1_description-stimuli_data.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        for row, one in zip(rows, made.stimuli, strict=True):
            for name in ("stimulus", "file", "condition", "emotion", "person", "cue", "reference"):
                assert row[name] == getattr(one, name)
            assert row["bubbles"].split() == [str(place) for place in one.bubbles]
            assert row["tiles"].split() == [str(tile) for tile in one.tiles]

    def test_a_damaged_manifest_is_one_sentence(self, made, tmp_path):
        with pytest.raises(MissingError, match="holds no stimuli of hemiface occlude --set"):
            StimulusSet.read(tmp_path)
        text = (made.folder / MANIFEST).read_text()
        (tmp_path / MANIFEST).parent.mkdir()
        for old, new in [('"format": 1', '"format": 2'), ('"left out"', '"perhaps"'),
                         ('"stimuli"', '"stimulus"'), ("{", "[")]:  # fmt: skip
            (tmp_path / MANIFEST).write_text(text.replace(old, new, 1))
            with pytest.raises(DamagedError, match=r"manifest\.json is damaged"):
                StimulusSet.read(tmp_path)


class TestOrder:
    def test_everybody_sees_everything_once_in_an_order_of_their_own(self, made):
        rows = deal(made.stimuli, Dealing(participants=3, blocks=4))
        orders = []
        for participant in (1, 2, 3):
            own = [row for row in rows if row["participant"] == participant]
            assert [row["trial"] for row in own] == list(range(1, len(made.stimuli) + 1))
            assert {row["stimulus"] for row in own} == {one.stimulus for one in made.stimuli}
            orders.append(tuple(row["stimulus"] for row in own))
            sizes = Counter(row["block"] for row in own)
            assert max(sizes.values()) - min(sizes.values()) <= 1
            conditions = {one.stimulus: one.condition for one in made.stimuli}
            by_block = Counter((row["block"], conditions[row["stimulus"]]) for row in own)
            for key in set(conditions.values()):
                of_key = [by_block[block, key] for block in range(1, 5)]
                assert max(of_key) - min(of_key) <= 1
        assert len(set(orders)) == 3
        assert rows == deal(made.stimuli, Dealing(participants=3, blocks=4))

    def test_a_latin_square_shows_each_picture_once_and_each_version_equally_often(self, made):
        halves = [one for one in made.stimuli if one.condition in ("full", "upper", "lower")]
        rows = deal(halves, Dealing(participants=6, design="latin"))
        known = {one.stimulus: one for one in halves}
        for participant in range(1, 7):
            own = [known[row["stimulus"]] for row in rows if row["participant"] == participant]
            assert sorted(one.picture for one in own) == sorted({one.picture for one in halves})
        assert set(Counter(row["stimulus"] for row in rows).values()) == {2}
        # Each emotion is seen under different conditions by one person.
        own = [known[row["stimulus"]] for row in rows if row["participant"] == 1]
        for emotion in EMOTIONS:
            assert len({one.condition for one in own if one.emotion == emotion}) == 2

    @pytest.mark.parametrize("pictures", [7, 14])
    def test_in_a_latin_square_everybody_sees_about_as_many_of_each_version(self, made, pictures):
        """Also where there is one picture of each emotion."""
        names = sorted({one.picture for one in made.stimuli})[:pictures]
        five = ("full", "upper", "lower", "left", "right")
        own = [one for one in made.stimuli if one.condition in five and one.picture in names]
        known = {one.stimulus: one.condition for one in own}
        rows = deal(own, Dealing(participants=5, design="latin"))
        for participant in range(1, 6):
            seen = Counter(
                known[row["stimulus"]] for row in rows if row["participant"] == participant
            )
            assert set(seen) == set(five)
            assert max(seen.values()) - min(seen.values()) <= 1

    def test_composites_are_no_latin_square(self, made):
        with pytest.raises(UsageError, match="A composite shows two pictures"):
            deal(made.stimuli, Dealing(participants=2, design="latin"))

    def test_the_same_picture_does_not_follow_itself(self, made):
        """Nor as the other half of a composite."""
        known = {one.stimulus: {one.picture, one.other_picture} - {""} for one in made.stimuli}
        rows = deal(made.stimuli, Dealing(participants=5))
        for participant in range(1, 6):
            own = [known[row["stimulus"]] for row in rows if row["participant"] == participant]
            assert not any(a & b for a, b in pairwise(own))

    def test_where_exchanges_can_keep_few_pictures_apart_they_do(self, made):
        """Three pictures in five versions each: orders without repetition are many."""
        names = sorted({one.picture for one in made.stimuli})[:3]
        five = ("full", "upper", "lower", "left", "right")
        own = [one for one in made.stimuli if one.condition in five and one.picture in names]
        known = {one.stimulus: one.picture for one in own}
        rows = deal(own, Dealing(participants=200))
        orders = [[] for _ in range(200)]
        for row in rows:
            orders[row["participant"] - 1].append(known[row["stimulus"]])
        again = sum(any(a == b for a, b in pairwise(order)) for order in orders)
        assert again == 0

    @pytest.mark.parametrize(("pictures", "versions", "blocks"), [(2, 5, 1), (2, 5, 2), (7, 5, 5)])
    def test_where_there_is_an_order_without_repetition_it_is_found(
        self, made, pictures, versions, blocks
    ):
        names = sorted({one.picture for one in made.stimuli})[:pictures]
        chosen = ("full", "upper", "lower", "left", "right")[:versions]
        own = [one for one in made.stimuli if one.condition in chosen and one.picture in names]
        known = {one.stimulus: one.picture for one in own}
        found: dict[tuple[int, int], list[str]] = {}
        for row in deal(own, Dealing(participants=60, blocks=blocks)):
            place = row["participant"], row["block"]
            found.setdefault(place, []).append(known[row["stimulus"]])
        assert len(found) == 60 * blocks
        for order in found.values():
            most = max(Counter(order).values())
            if most <= (len(order) + 1) // 2:
                assert not any(a == b for a, b in pairwise(order)), order

    def test_a_picture_of_which_most_are_follows_itself_as_seldom_as_can_be(self, made):
        names = sorted({one.picture for one in made.stimuli})[:3]
        own = [
            one
            for place, name in enumerate(names)
            for one in [one for one in made.stimuli if one.picture == name][: (9, 3, 2)[place]]
        ]
        known = {one.stimulus: one.picture for one in own}
        for participant in range(20):
            rows = deal(own, Dealing(participants=1, seed=participant))
            order = [known[row["stimulus"]] for row in rows]
            assert Counter(order)[names[0]] == 9
            # Nine and five others between them: three times at least, before, between or behind.
            assert sum(a == b for a, b in pairwise(order)) == 3

    def test_wrong_designs(self, made):
        with pytest.raises(UsageError, match="a design of all or latin"):
            Dealing(design="random")
        with pytest.raises(UsageError, match="can't be parted into 999 blocks"):
            deal(made.stimuli, Dealing(participants=1, blocks=999))


class TestFaces:
    @pytest.mark.parametrize(
        "content",
        ["file,label\nJörg.png,happy\n".encode("latin-1"), b"file,label\n" + b"x" * 200_000,
         b"file,label\na\0b.png,happy\n"],
    )  # fmt: skip
    def test_a_table_that_is_no_csv_is_told(self, folder, tmp_path, content):
        table = tmp_path / "labels.csv"
        table.write_bytes(content)
        with pytest.raises(DamagedError, match=r"labels\.csv"):
            find_faces([str(folder)], table)

    def test_folders_name_emotions_and_a_table_names_people(self, folder, tmp_path):
        faces = find_faces([str(folder)])
        assert Counter(one.emotion for one in faces) == dict.fromkeys(EMOTIONS, 2)
        table = tmp_path / "labels.csv"
        rows = [f"{one.path},Happiness,anna" for one in faces[:1]]
        rows += [f"{one.name},fear," for one in faces[1:2]]
        table.write_text("\n".join(["file,label,person", *rows]))
        found = find_faces([str(folder)], table)
        assert (found[0].emotion, found[0].person) == ("happy", "anna")
        assert (found[1].emotion, found[1].person) == ("fear", found[1].stem)
        assert found[2].emotion == ""

    def test_partners_are_of_one_person_where_there_are_several_pictures(self, folder, tmp_path):
        faces = find_faces([str(folder)])
        rows = [f"{one.path},{one.emotion},{int(one.stem[1:]) // 7}" for one in faces]
        table = tmp_path / "labels.csv"
        table.write_text("\n".join(["file,label,person", *rows]))
        options = SetOptions(kinds=("composites",), side_px=48)
        make_set([str(folder)], tmp_path / "set", options, Dealing(), labels=table)
        for one in StimulusSet.read(tmp_path / "set").stimuli:
            if one.kind == "composite":
                assert int(one.picture[1:3]) // 7 == int(one.other_picture[1:3]) // 7

    def test_a_face_is_cut_out_as_networks_see_it_only_larger(self):
        (face,) = phantom.render([3], seed=1, pose=False)
        photo = np.full((300, 400, 3), 90, np.uint8)
        big = np.asarray(Image.fromarray(face).resize((192, 192), Image.Resampling.BILINEAR))
        photo[50:242, 100:292] = big[:, :, None]
        five = FRAME * 4 + [100, 50]
        large = cut_out(photo, five, 240)
        assert large.shape == (240, 240, 3)
        small = np.asarray(Image.fromarray(large[..., 0]).resize((48, 48), Image.Resampling.BOX))
        assert np.abs(small.astype(int) - align(photo, five).pixels).mean() < 1

    def test_photos_without_a_face_are_left_out_and_named(self, folder, tmp_path):
        class Half:
            """Finds a face in every second picture, and two in the first."""

            seen = 0

            def detect(self, photo):
                assert photo.shape == (48, 48, 3)
                self.seen += 1
                found = FoundFace(np.array([[0.0, 0], [48, 48]]), 1.0, five=FRAME)
                return [found] * (2 if self.seen == 1 else self.seen % 2)

        told = []
        made = make_set(
            [str(folder)], tmp_path / "set", SetOptions(kinds=("upper",), side_px=48), Dealing(),
            detector=Half(), on_note=told.append,
        )  # fmt: skip
        assert len(made.stimuli) == 14
        assert len(told) == 8
        assert re.search(r"angry.f00\.png shows 2 faces; the largest is taken", told[0])
        assert all(re.search(r"no face was found in .*; it is left out", one) for one in told[1:])

    def test_rows_about_no_picture_are_told(self, folder, tmp_path):
        table = tmp_path / "labels.csv"
        faces = find_faces([str(folder)])
        rows = [f"{faces[0].path},happy", f"{faces[1].name},sad", "f99.png,fear", "f98.png,sad"]
        table.write_text("\n".join(["file,label", *rows]))
        told = []
        find_faces([str(folder)], table, told.append)
        (said,) = told
        assert "none of the pictures is f99.png, f98.png; look how" in said

    def test_a_table_may_have_blanks_and_no_contradiction(self, folder, tmp_path):
        table = tmp_path / "labels.csv"
        name = find_faces([str(folder)])[0].name
        table.write_text(f"file,label,person\n{name} ,happy, Anna \n")
        assert find_faces([str(folder)], table)[0].person == "Anna"
        table.write_text(f"file,label\n{name},happy\n{name},sad\n")
        with pytest.raises(DamagedError, match=rf"line 3: {name} has another label"):
            find_faces([str(folder)], table)

    def test_a_video_that_is_named_is_no_picture(self, folder, tmp_path):
        film = tmp_path / "a.mp4"
        film.touch()
        with pytest.raises(UsageError, match=r"a\.mp4 is no picture"):
            find_faces([str(folder), str(film)])

    @pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
    def test_a_folder_that_is_closed_is_not_passed_over(self, folder, tmp_path):
        own = shutil.copytree(folder, tmp_path / "own")
        (own / "closed").mkdir(mode=0)
        with without_privileges(), pytest.raises(DamagedError, match="closed can't be looked into"):
            find_faces([str(own)])
        (own / "closed").rmdir()
        (own / "link").symlink_to(folder)
        with pytest.raises(DamagedError, match="link is a link, which isn't followed"):
            find_faces([str(own)])

    def test_names_of_files_are_addresses_for_browsers_too(self, folder, tmp_path):
        names = ["a#1", "a%20b", "a?", "a\\b", "a-1", "é b"]
        for name in names:
            shutil.copy(folder / EMOTIONS[0] / "f00.png", tmp_path / f"{name}.png")
        options = SetOptions(kinds=("upper",), side_px=SIDE)
        made = make_set([str(tmp_path)], tmp_path / "out", options, Dealing(participants=1))
        assert {one.picture for one in made.stimuli} == {f"{name}.png" for name in names}
        trials = json.loads((tmp_path / "out" / "materials" / "trials.json").read_text())
        files = {one["file"] for own in trials.values() for one in own}
        assert len(files) == 2 * len(names)
        assert not any(set(one) & set("#%?\\") for one in files)
        assert all((tmp_path / "out" / one).is_file() for one in files)
        assert any(one.endswith("/é b_upper.png") for one in files)

    def test_two_words_for_one_condition_are_one(self):
        assert known_kinds(["upper", "upper@black", "full@mean"]) == ("full", "upper")
        assert known_kinds(["upper", "upper@noise"], "noise") == ("full", "upper")

    @pytest.mark.parametrize("kinds", [("random-50",), ("upper@noise",)])
    def test_another_seed_makes_other_noise(self, folder, tmp_path, kinds):
        found = []
        for seed in (1, 1, 2):
            out = tmp_path / str(len(found))
            make_set([str(folder)], out, SetOptions(kinds=kinds, side_px=48, seed=seed), Dealing())
            known = StimulusSet.read(out)
            (one,) = [x for x in known.stimuli if x.picture == "f00.png" and x.kind == "part"]
            assert one.seed is not None
            found.append((one.sha256, one.seed))
        assert found[0] == found[1] != found[2]

    def test_what_is_wrong_is_said(self, folder, tmp_path):
        table = tmp_path / "labels.csv"
        table.write_text("file,label\na.png,joyful\n")
        with pytest.raises(DamagedError, match=r"labels.csv, line 2: 'joyful' is none of angry"):
            find_faces([str(folder)], table)
        table.write_text("name,label\na.png,happy\n")
        with pytest.raises(UsageError, match="lacks column file"):
            find_faces([str(folder)], table)
        table.write_text("file;label\na.png;happy\n")
        with pytest.raises(
            UsageError, match=r"labels\.csv has cells that are parted by semicolons"
        ):
            find_faces([str(folder)], table)
        table.write_text("file,label,label\na.png,happy,sad\n")
        with pytest.raises(UsageError, match="two columns label"):
            find_faces([str(folder)], table)
        with pytest.raises(UsageError, match="Two of the pictures are called f00"):
            find_faces(
                [str(folder), str(folder / "angry" / "f00.png"), str(copied(folder, tmp_path))]
            )
        with pytest.raises(UsageError, match="Stimuli 'eyes' are unknown; choose from halves"):
            known_kinds(["eyes"])
        for wrong, sentence in {
            "side_px": "multiple of 48",
            "name": "letters and digits",
            "fill": "Fill 'pink' is unknown",
            "sigma_px": "must be above 0",
        }.items():
            value = {"side_px": 100, "name": "a b", "fill": "pink", "sigma_px": 0}[wrong]
            with pytest.raises(UsageError, match=sentence):
                SetOptions(kinds=("halves",), **{wrong: value})
        with pytest.raises(UsageError, match="the width at most 48"):
            SetOptions(kinds=("bubbles",), sigma_px=math.inf)
        for percent in (0, 1.4, 98.7, 100, math.nan):
            with pytest.raises(UsageError, match=rf"2 to 98 % can be hidden, not {percent}\.$"):
                SetOptions(kinds=("tiles",), percent=percent)
        one = [str(folder / "angry" / "f00.png")]
        with pytest.raises(UsageError, match="two pictures or more"):
            make_set(one, tmp_path / "s", SetOptions(kinds=("composites",)), Dealing())
        assert not (tmp_path / "s").exists()
        with pytest.raises(UsageError, match="not an empty folder"):
            make_set(one, tmp_path, SetOptions(kinds=("upper",)), Dealing())


def copied(folder, tmp_path):
    place = tmp_path / "f00.png"
    place.write_bytes((folder / "angry" / "f00.png").read_bytes())
    return place
