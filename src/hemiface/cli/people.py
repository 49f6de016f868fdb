"""The command about people's answers to stimuli: people."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hemiface.cli.apps import app
from hemiface.cli.importing import pairs_of
from hemiface.cli.options import DrawsOption, JsonOption
from hemiface.cli.printing import print_json, records, say, show, show_progress
from hemiface.errors import UsageError, escaped

if TYPE_CHECKING:
    import pandas as pd

    from hemiface.data.stimulus_set import StimulusSet

__all__ = ["people"]


@app.command()
def people(
    trials: Annotated[
        Path, typer.Argument(help="CSV with participant, stimulus, response; rt_s, confidence.")
    ],
    stimuli: Annotated[
        Path | None,
        typer.Option(help="Folder of hemiface occlude --set; default the one that TRIALS lies in."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A network that answers the same stimuli: a file of hemiface export or a shipped "
            "model's name. Repeatable."
        ),
    ] = None,
    response: Annotated[
        list[str] | None,
        typer.Option(help="THEIRS=OURS: what the file calls an answer. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; default people/ beside TRIALS.")
    ] = None,
    draws: DrawsOption = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Analyse people's answers to stimuli as networks are: hit rates, halves, bits, agreement."""
    from hemiface.config import StatisticsOptions
    from hemiface.data.people_answers import read_answers
    from hemiface.data.stimulus_set import StimulusSet
    from hemiface.inputs import require_file
    from hemiface.report.people import write_people

    # Where there are no answers, their folder says nothing of where the stimuli are.
    require_file(trials)
    known = StimulusSet.read(stimuli or _set_around(trials))
    answered = read_answers(trials, known, pairs_of(response, "--response"))
    for sentence in answered.outside:
        print(f"hemiface: {escaped(sentence)}", file=sys.stderr)
    networks = _answers_of(model or (), known)
    options = StatisticsOptions(draws=draws, seed=seed)
    folder = out or trials.parent / "people"
    found = write_people(answered, networks, folder, options, known.settings, [trials])
    if as_json:
        files = [str(path) for path in found.paths]
        sensitivity = records(found.tables["sensitivity"])
        print_json({"files": files, "words": list(found.words), "sensitivity": sensitivity})
        return
    _print_hits(found.tables["sensitivity"])
    say("\n".join(found.words))
    for path in found.paths:
        say(path)


def _set_around(trials: Path) -> Path:
    """Return the folder of stimuli in which a table lies, its own where there is none."""
    from hemiface.data.stimulus_set import MANIFEST

    above = trials.absolute().parents
    return next((folder for folder in above if (folder / MANIFEST).is_file()), trials.parent)


def _answers_of(models: "list[str] | tuple[()]", known: "StimulusSet") -> dict[str, dict[str, str]]:
    """Return each network's answer to each stimulus, by its name."""
    from hemiface.vision.stimulus_sets.answers import answers_of

    found: dict[str, dict[str, str]] = {}
    if models:
        with show_progress() as on_progress:
            for model in models:
                own = answers_of(model, known, on_progress)
                if own.keys() & found.keys():
                    raise UsageError(f"Two of the networks are called {next(iter(own))}.")
                found |= own
    return found


def _print_hits(sensitivity: "pd.DataFrame") -> None:
    """Print hit rates and unbiased hit rates by condition, in per cent."""
    from hemiface.report.figures.style import stimulus_label

    rows = sensitivity[sensitivity["emotion"] == "all"]
    columns = {"recall": "hits", "unbiased_hit_rate": "unbiased hits"}
    shown = []
    for (who, condition), own in rows.groupby(["who", "condition"], sort=False):
        cells = own.set_index("measure")
        n = f"{int(cells['n'].iloc[0]):,}"
        values = cells.loc[list(columns), ["value", "low", "high"]].to_numpy().tolist()
        shown.append([str(who), stimulus_label(str(condition)), *map(_per_cent, values), n])
    numbers = [*columns.values(), "trials"]
    title = "Mean over the emotions in %, 95% intervals over people and faces"
    show(title, ["who", "condition", *numbers], shown, numbers=numbers)


def _per_cent(ends: Sequence[float]) -> str:
    """Return a share with its interval, and a dash for what isn't there."""
    value, low, high = (f"{100 * one:.1f}" if math.isfinite(one) else "–" for one in ends)
    return f"{value} [{low}, {high}]"
