"""What people answered to a set of stimuli: TRIALS.csv beside the set's manifest.

A row is one trial, as PsychoPy, jsPsych, lab.js or a spreadsheet write it:

column       needed  meaning
participant  yes     who answered
stimulus     yes     the stimulus's name in the manifest, or a file that one stimulus alone has
response     yes     one of EMOTIONS or SYNONYMS, an answer that the manifest declares, or what
                     `--response THEIRS=OURS` explains; empty is no answer
rt_s         no      seconds until the answer
confidence   no      how sure they were, any number
block        no      block of the trial

Upper and lower case and blanks around a response don't matter; other columns and empty rows are
passed over.
"""

import csv
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hemiface.data.stimulus_set import LEFT_OUT, WRONG, Stimulus, StimulusSet, require_emotions
from hemiface.data.vocabulary import SYNONYMS
from hemiface.errors import DamagedError, UsageError
from hemiface.inputs import as_csv, open_lines, require_columns
from hemiface.tables import EMOTIONS, for_spreadsheets, read_csv

__all__ = ["ANSWERED_COLUMNS", "OUTSIDE", "Answered", "read_answers"]

OUTSIDE = ""
"""In column `answer` of a trial that counts, though its answer is no emotion."""

ANSWERED_COLUMNS = (
    "participant",
    "stimulus",
    "person",
    "picture",
    "kind",
    "condition",
    "reference",
    "emotion",
    "answer",
    "said",
    "handled",
    "rt_s",
    "confidence",
    "block",
    "bubbles",
    "sigma_px",
    "tiles",
)
_NEEDED = ("participant", "stimulus", "response")
_KNOWN = ("rt_s", "confidence", "block")
_COUNTED = "counted"
_NO_ANSWER = "no answer"
_LINE_END = r"\r\n?|\n"


@dataclass(frozen=True, eq=False)
class Answered:
    """Trials with what was shown in each: ANSWERED_COLUMNS, in the file's order.

    `said` is the answer as it was understood (an emotion, a declared other answer, `no answer`),
    `handled` what became of it: counted, wrong (it counts, its `answer` is OUTSIDE) or left out.
    """

    table: pd.DataFrame

    @property
    def counting(self) -> pd.DataFrame:
        """The trials that count, with a fresh index."""
        kept: pd.DataFrame = self.table[self.table["handled"] != LEFT_OUT]
        return kept.reset_index(drop=True)

    @property
    def outside(self) -> list[str]:
        """A sentence for each answer that is no emotion, with what became of it, and on repeats."""
        rows = self.table[self.table["handled"] != _COUNTED]
        total = len(self.table)
        return [
            f"{len(part):,} of {total:,} trials have {_called(str(said))}: "
            f"{_CONSEQUENCES[str(done)]}."
            for (said, done), part in rows.groupby(["said", "handled"], sort=True)
        ] + self._repeated()

    def _repeated(self) -> list[str]:
        again = int(self.table.duplicated(["participant", "stimulus", "block"]).sum())
        if not again:
            return []
        return [
            f"{again:,} of {len(self.table):,} trials show a participant what they were shown "
            "before in the same block: each counts; is the file put together twice?"
        ]


_CONSEQUENCES = {
    WRONG: "they count as trials in which the emotion wasn't named",
    LEFT_OUT: "they are left out",
}


def read_answers(
    path: Path, known: StimulusSet, responses: Mapping[str, str] | None = None
) -> Answered:
    """Read TRIALS.csv; `responses` are answers of ours by the file's words for them.

    Raises:
        DamagedError: the file is missing or no CSV, or a cell is empty or no number.
        UsageError: a column is missing or there twice, a stimulus isn't in the manifest, a response
            is unknown, or nobody knows what a stimulus shows that was answered.
    """
    table = _cells(path)
    if table.empty:
        raise UsageError(f"{path} holds no trial.")
    nobody = table["participant"].str.strip() == ""
    if nobody.any():
        raise DamagedError(f"{path}, line {_line(nobody)}: column participant is empty.")
    found = _stimuli(path, table["stimulus"], known)
    require_emotions(found)
    said = _said(path, table["response"], known.others, responses or {})
    others = {word or _NO_ANSWER: handled for word, handled in known.others.items()}
    facts = ("stimulus", "person", "picture", "kind", "condition", "reference", "emotion")
    columns: dict[str, Any] = {name: [getattr(one, name) for one in found] for name in facts}
    columns |= {name: [getattr(one, name) for one in found] for name in ("bubbles", "tiles")}
    columns |= {
        "participant": table["participant"].str.strip(),
        "answer": said.where(said.isin(EMOTIONS), OUTSIDE),
        "said": said,
        "handled": [others.get(one, _COUNTED) for one in said],
        "sigma_px": pd.Series([one.sigma_px for one in found], table.index, dtype="float64"),
        "rt_s": _numbers(path, table, "rt_s"),
        "confidence": _numbers(path, table, "confidence"),
        "block": table.get("block", ""),
    }
    return Answered(pd.DataFrame(columns)[list(ANSWERED_COLUMNS)].reset_index(drop=True))


def _cells(path: Path) -> pd.DataFrame:
    """Return all cells as texts: each row that isn't empty, by the line in which it ends."""
    with as_csv(path), open_lines(path) as file:
        reader = csv.reader(file)
        above, header = next(((n, row) for n, row in enumerate(reader) if row), (0, []))
        line = reader.line_num
    require_columns(path, header, _NEEDED, _KNOWN)
    table = read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, skiprows=above)
    ends = np.ones(len(table), dtype=np.int64)
    is_empty = np.ones(len(table), dtype=np.bool_)
    for column in table:
        ends += table[column].str.count(_LINE_END).to_numpy(np.int64)
        is_empty &= (table[column].str.strip() == "").to_numpy(np.bool_)
    table.index = pd.Index(line + ends.cumsum())
    return table.loc[~is_empty]


def _called(said: str) -> str:
    return said if said == _NO_ANSWER else f"the answer {said!r}"


def _stimuli(path: Path, cells: "pd.Series[str]", known: StimulusSet) -> list[Stimulus]:
    """Return the stimulus of each trial."""
    by_name: dict[str, Stimulus | None] = {}
    for one in known.stimuli:
        file = PurePosixPath(one.file)
        names = {one.file, file.name, file.stem}
        # The set's own tables are written so.
        names |= {for_spreadsheets(name) for name in (*names, one.stimulus)}
        for name in names - {one.stimulus}:
            # None where several stimuli, judged by another half, have one file.
            by_name[name] = None if name in by_name else one
    by_name |= {one.stimulus: one for one in known.stimuli}
    found = [by_name.get(cell.strip()) for cell in cells]
    unknown = pd.Series([one is None for one in found], cells.index)
    if unknown.any():
        cell = cells[unknown].iloc[0].strip()
        several = f"{cell!r} is the file of several stimuli; write the stimulus's name"
        why = several if cell in by_name else f"{cell!r} is no stimulus of {known.folder}"
        raise UsageError(f"{path}, line {_line(unknown)}: {why}.")
    return [one for one in found if one is not None]


def _said(
    path: Path, cells: "pd.Series[str]", others: Mapping[str, str], responses: Mapping[str, str]
) -> "pd.Series[str]":
    """Return each response as an emotion, a declared other answer or `no answer`."""
    known = {_plain(one): one for one in EMOTIONS}
    known |= {_plain(word): one for word, one in SYNONYMS.items()}
    known |= {_plain(other): other for other in others}
    explained: dict[str, str] = {}
    for theirs, word in responses.items():
        # By the words as they were: answers may be exchanged.
        meant = known.get(_plain(word))
        if meant is None:
            raise UsageError(
                f"--response {theirs}={word}: {word!r} is neither an emotion nor declared; choose "
                f"from {', '.join((*EMOTIONS, *filter(None, others)))}."
            )
        if explained.setdefault(_plain(theirs), meant) != meant:
            raise UsageError(f"--response explains {theirs.strip()!r} twice; explain it once.")
    ours = known | explained
    plain_cells = cells.map(_plain)
    unknown = ~plain_cells.isin(list(ours))
    if unknown.any():
        cell = cells[unknown].iloc[0]
        raise UsageError(
            f"{path}, line {_line(unknown)}: response {cell!r} is neither an emotion nor declared "
            f"in the manifest; explain it with --response '{cell}=OURS', or declare it there."
        )
    return plain_cells.map(ours).replace("", _NO_ANSWER)


def _plain(word: str) -> str:
    """Return a word as it is compared: some systems write an umlaut as two signs."""
    return unicodedata.normalize("NFC", word.strip()).casefold()


def _numbers(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Return a column of numbers, NaN where it is empty or not there."""
    if column not in table:
        return pd.Series(np.nan, index=table.index)
    cells = table[column].str.strip()
    numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
    wrong = (cells != "") & ~np.isfinite(numbers)
    if wrong.any():
        raise DamagedError(
            f"{path}, line {_line(wrong)}: column {column} holds {cells[wrong].iloc[0]!r}, which "
            "is no number; write it with a decimal point, or leave the cell empty."
        )
    return numbers


def _line(wrong: "pd.Series[bool]") -> int:
    """Return the line of the first row that is wrong."""
    return int(wrong.index[wrong][0])
