"""What `hemiface people` writes: tables, figures and one page of people's answers to stimuli."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import hemiface
from hemiface.config import StatisticsOptions
from hemiface.data.people_answers import Answered
from hemiface.errors import UsageError
from hemiface.files import write_text
from hemiface.inputs import require_apart
from hemiface.report.figure_files import Picture, drawn_picture
from hemiface.report.figures.halves import halves_map
from hemiface.report.figures.people import conditions_plot, maps_figure
from hemiface.report.figures.style import stimulus_label
from hemiface.report.page import linked, template
from hemiface.report.page_tables import Group, Row, Shown, Table
from hemiface.report.results import claim_for, table_files, write_tables
from hemiface.report.words import people as words
from hemiface.report.words.verdicts import verdict
from hemiface.stats.people.agreement import agreement
from hemiface.stats.people.information import information, shapley
from hemiface.stats.people.maps import likeness, maps, shows_parts
from hemiface.stats.people.participants import confusions, participants, ratings, responses
from hemiface.stats.people.sensitivity import beside, sensitivity
from hemiface.stats.people.trials import PEOPLE, Trials
from hemiface.tables import EMOTIONS

__all__ = ["PEOPLE_PAGE", "PeopleFound", "compute", "write_people"]

PEOPLE_PAGE = "people.html"
_MEASURES = {"recall": "Hit rate", "unbiased_hit_rate": "Unbiased hit rate (Wagner)"}
_GROUPED = (*EMOTIONS, "all")


@dataclass(frozen=True, eq=False)
class PeopleFound:
    """What was computed and where it lies: tables by file name, sentences, all paths."""

    trials: Trials
    tables: Mapping[str, pd.DataFrame]
    words: Sequence[str]
    paths: Sequence[Path] = ()


@dataclass(frozen=True)
class _Section:
    """A part of the page."""

    key: str
    heading: str
    text: str
    files: str
    words: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    tables: Sequence[Table] = field(default_factory=list)


def compute(
    answered: Answered,
    networks: Mapping[str, Mapping[str, str]],
    options: StatisticsOptions | None = None,
) -> PeopleFound:
    """Compute every table of people's answers; `networks` are answers by stimulus, by name.

    Always there: participants, responses, confusions, sensitivity, information. Where there is
    what they need: shapley (whole faces and both halves), ratings (times or confidence), maps
    (apertures or tiles), and with networks beside, agreement and likeness.

    Raises:
        UsageError: no trial counts, or a network has no answer to a stimulus or is called `people`.
    """
    if answered.counting.empty:
        raise UsageError("No trial counts: every answer is one that the manifest leaves out.")
    if PEOPLE in networks:
        raise UsageError(f"A network can't be called {PEOPLE} here; rename its file.")
    people = Trials(answered.counting, options or StatisticsOptions())
    others = [people.answered_by(name, answers) for name, answers in networks.items()]
    every = [people, *others]
    tables = {
        "participants": participants(answered.table),
        "responses": responses(answered.table),
        "confusions": confusions(every),
        "sensitivity": sensitivity(every),
        "information": information(every),
        "shapley": shapley(every),
        "ratings": ratings(people),
        "maps": maps(every),
    }
    if others:
        tables |= {"beside": beside(people, others), "agreement": agreement(people, others)}
        tables["likeness"] = likeness(people, others)
    tables = {name: table for name, table in tables.items() if len(table)}
    told = [*words.size_words(people, answered.outside), *words.hit_words(tables["sensitivity"])]
    for trials in every:
        told += words.half_words(tables["shapley"], trials.who) if "shapley" in tables else []
    told += words.agreement_words(tables["agreement"]) if "agreement" in tables else []
    told += words.likeness_words(tables["likeness"]) if "likeness" in tables else []
    return PeopleFound(people, tables, told)


def write_people(
    answered: Answered,
    networks: Mapping[str, Mapping[str, str]],
    folder: Path,
    options: StatisticsOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    read: Sequence[Path] = (),
) -> PeopleFound:
    """Write the tables of `compute` as CSV, figures/ and people.html into the folder.

    `settings` are those of the stimuli's manifest, `read` the files that the answers came from.

    Raises:
        UsageError: as `compute`, or a file would take the place of one that was read or that no
            analysis wrote.
    """
    found = compute(answered, networks, options)
    tables = table_files(found.tables, folder)
    require_apart(read, tables)
    claim_for("people", folder, [*tables, folder / PEOPLE_PAGE], PEOPLE_PAGE)
    known = dict(settings or {})
    paths = write_tables(found.tables, folder)
    sections = [
        _hits(found, folder),
        *_halves(found, list(networks), folder),
        *_beside(found),
        *_maps(found, list(networks), folder),
        _answers(found),
    ]
    text = template("people.html.j2").render(
        title="What people see in faces of which a part can be seen",
        subtitle=f"{known.get('name', 'stimuli')}, {len(answered.table):,} trials",
        sizes=words.size_words(found.trials, answered.outside),
        sections=sections,
        methods=words.methods(found.trials, list(networks), known),
        version=hemiface.__version__,
    )
    write_text(folder / PEOPLE_PAGE, linked(text, folder))
    return PeopleFound(found.trials, found.tables, found.words, [*paths, folder / PEOPLE_PAGE])


def _hits(found: PeopleFound, folder: Path) -> _Section:
    table = found.tables["sensitivity"]
    figure = drawn_picture(
        conditions_plot(table, _MEASURES),
        folder / "figures",
        "people-conditions",
        "Lines are intervals over people and faces.",
    )
    return _Section(
        "hits",
        "How right people are",
        "A hit rate rises when an emotion is answered more often, seen better or not; the unbiased "
        "hit rate is the hit rate times the share of these answers that are right.",
        "All measures, d' and criterion too, are in sensitivity.csv, the counts in confusions.csv.",
        words.hit_words(table),
        [figure],
        [
            _by_emotion(table, who, measure, name)
            for who in dict.fromkeys(table["who"])
            for measure, name in _MEASURES.items()
        ],
    )


def _halves(found: PeopleFound, networks: Sequence[str], folder: Path) -> list[_Section]:
    if "shapley" not in found.tables:
        return []
    table = found.tables["shapley"]
    pictures, said = [], []
    for place, who in enumerate([PEOPLE, *networks]):
        label = "people's answers" if who == PEOPLE else f"the answers of {who}"
        figure = halves_map(table, who, lambda row: verdict(row, "bits").sign, label=label)
        caption = (
            f"{label[0].upper()}{label[1:]}: Shapley values in bits with intervals. Bold and "
            "underlined: more than the other half of its pair. Sides are those of the picture."
        )
        name = f"people-halves-{place}" if place else "people-halves"
        pictures.append(drawn_picture(figure, folder / "figures", name, caption, narrow=True))
        said += words.half_words(table, who)
    return [
        _Section(
            "halves",
            "What each half tells",
            "How much better the emotion can be told by somebody who hears the answer, in bits, "
            "shared out between the halves that could be seen.",
            "All of it is in shapley.csv, every visible part alone in information.csv.",
            said,
            pictures,
        )
    ]


def _beside(found: PeopleFound) -> list[_Section]:
    if "agreement" not in found.tables:
        return []
    table = found.tables["agreement"]
    shown = [
        _agreement_table(table[table["who"] == who], str(who))
        for who in dict.fromkeys(table["who"])
    ]
    return [
        _Section(
            "network",
            "Beside a network",
            "The same stimuli, the same trials. Any two who are mostly right agree: what counts is "
            "agreement beyond that of independent answers, and that of two people.",
            "All of it, by emotion, is in agreement.csv; people minus network in beside.csv.",
            words.agreement_words(table),
            [],
            shown,
        )
    ]


def _maps(found: PeopleFound, networks: Sequence[str], folder: Path) -> list[_Section]:
    if "maps" not in found.tables:
        return []
    table, trials = found.tables["maps"], found.trials
    pictures = [
        drawn_picture(
            maps_figure(table, key, [PEOPLE, *networks]),
            folder / "figures",
            f"people-map-{key}",
            f"All emotions together ({stimulus_label(key)}). Grey italics: the interval holds 0.",
        )
        for key in trials.conditions
        if shows_parts(trials, key)
    ]
    alike = found.tables.get("likeness")
    return [
        _Section(
            "maps",
            "Which places people need",
            "The correlation, over trials, of how visible a place is with the answer being right.",
            "All maps, by emotion, are in maps.csv"
            + (", how alike they are in likeness.csv." if alike is not None else "."),
            [] if alike is None else words.likeness_words(alike),
            pictures,
        )
    ]


def _answers(found: PeopleFound) -> _Section:
    table = found.tables["participants"]
    columns = [name for name in table.columns if name != "participant"]
    rows = [
        Group(str(one["participant"]), [Row("", [Shown(_cell(one[name])) for name in columns])])
        for one in table.to_dict("records")
    ]
    titles = [name.replace("_", " ") for name in columns]
    return _Section(
        "participants",
        "Who answered",
        "Look for people who always gave one answer, or answered faster than one can see.",
        "participants.csv; every kind of answer is counted in responses.csv, times and confidence "
        "by condition in ratings.csv where they were written down.",
        tables=[Table("participants", "Participants.", "", "participant", "", titles, rows)],
    )


def _by_emotion(table: pd.DataFrame, who: str, measure: str, name: str) -> Table:
    """Return one measure of one reader: conditions down, emotions across, in per cent."""
    rows = table[(table["who"] == who) & (table["measure"] == measure)]
    groups = []
    for key in dict.fromkeys(rows["condition"]):
        cells = rows[rows["condition"] == key].set_index("emotion")
        row = Row("", [_shown(cells.loc[one]) for one in _GROUPED])
        groups.append(Group(stimulus_label(str(key)), [row]))
    note = "In %, with intervals over people and faces; all: mean over the emotions."
    return Table(f"{measure}-{who}", f"{name}, {who}.", note, "condition", "", _GROUPED, groups)


def _agreement_table(table: pd.DataFrame, who: str) -> Table:
    columns = ("agreement", "people", "expected", "beyond")
    groups = []
    for key in dict.fromkeys(table["condition"]):
        rows = []
        for emotion in _GROUPED:
            cells = table[(table["condition"] == key) & (table["emotion"] == emotion)]
            known = cells.set_index("measure")
            rows.append(Row(emotion, [_shown(known.loc[one]) for one in columns]))
        groups.append(Group(stimulus_label(str(key)), rows))
    note = "In % of people's answers; beyond: kappa x 100."
    titles = (f"{who} with people", "two people", "independent answers", "beyond these")
    return Table(f"agreement-{who}", f"Agreement of {who}.", note, "condition", "emotion",
                 titles, groups)  # fmt: skip


def _shown(row: "pd.Series[Any]") -> Shown:
    value, low, high = (100 * float(row[name]) for name in ("value", "low", "high"))
    if not np.isfinite(value):
        return Shown("–")
    ends = f"[{low:.0f}, {high:.0f}]".replace("-", "−") if np.isfinite([low, high]).all() else ""
    return Shown(f"{value:.0f}".replace("-", "−"), ends)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if np.isfinite(value) else "–"
    return str(value)
