"""Bits in words: what each half tells, what of it only that half tells, and which tells more.

As everywhere in the report a direction is stated only where the interval leaves 0 out and the test
after Holm's correction agrees.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hemiface.report.figures.information import USED, bits_plot, decomposition_plot
from hemiface.report.figures.style import condition_label, decimals
from hemiface.report.words.texts import joined, two_decimals, under_fill
from hemiface.report.words.verdicts import Verdict, points, verdict
from hemiface.stats.decomposition import PAIRS
from hemiface.stats.inference import NO_VARIATION
from hemiface.stats.information import FIVE, WHOLE
from hemiface.tables import EMOTIONS

__all__ = [
    "Shares",
    "half_bits",
    "information_figures",
    "information_words",
    "informative_halves",
    "people_words",
    "recall_words",
    "share_words",
    "shown_families",
    "shown_fill",
]

_Rows = dict[str, dict[str, Any]]
"""Rows of a table by one of its columns."""

_ALL = "all"
_RATIO = "lower / upper"
_HALVES = [half for pair in PAIRS for half in pair]
_MIXES = {"data": "emotions as frequent as in the data", "balanced": "all emotions alike"}


def shown_families(information: pd.DataFrame) -> list[str]:
    """Return whom words and figures are about: who was trained for what is hidden, else anybody.

    The baseline's bits on hidden faces say what it uses, not what a half tells.
    """
    trained = information[information["question"] == "available information"]
    chosen = trained if len(trained) else information
    return list(dict.fromkeys(chosen["model"]))


def half_bits(information: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of information.csv about the whole face and its halves, over all images.

    Columns model, mix, visible, bits, low, high, n; over all seeds where there are several.
    """
    rows = _over_seeds(information)
    rows = rows[(rows["emotion"] == _ALL) & rows["visible"].isin([WHOLE, *_HALVES])]
    columns = ["question", "model", "fill", "mix", "visible", "bits", "low", "high", "n"]
    return rows[columns].reset_index(drop=True)


def informative_halves(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return those of `shown_families` that read both halves of a pair."""
    rows = tables["shapley"]
    return [
        model
        for model in shown_families(tables["information"])
        if _pairs(rows[rows["model"] == model])
    ]


def information_figures(tables: Mapping[str, pd.DataFrame]) -> dict[str, Figure]:
    """Return the figures by file name, for each of the `shown_families` that read both halves."""
    found = {}
    for model in informative_halves(tables):
        fill = shown_fill(tables["shapley"], model)
        own = {
            name: tables[name][tables[name]["fill"] == fill]
            for name in ("information", "decomposition")
        }
        found[f"information-{model}"] = bits_plot(own["information"], model)
        found[f"decomposition-{model}"] = decomposition_plot(own["decomposition"], model)
    return found


def shown_fill(shapley: pd.DataFrame, model: str) -> str:
    """Return under which fill words and figures show a model: the first that both halves have."""
    rows = shapley[shapley["model"] == model]
    fills = list(dict.fromkeys(rows["fill"].astype(str)))
    return next((one for one in fills if _pairs(rows[rows["fill"] == one])), fills[0])


def information_words(tables: Mapping[str, pd.DataFrame], level: float = 0.95) -> list[str]:
    """Return a paragraph per mix for the first of `shown_families` that reads halves, and a note.

    Between them stand what is left without happy and neutral and where recall moves with answers.
    What others tell is in the tables and figures.
    """
    said: list[str] = []
    for model in informative_halves(tables)[:1]:
        chosen = _chosen(tables, model)
        pairs = _pairs(chosen["shapley"])
        said += _paragraphs(chosen, model, pairs)
        said += _other_fills(tables, model)
        halves = chosen["shapley"][chosen["shapley"]["players"] == "halves"]
        further = [left for pair in pairs for left in _left(halves, pair)]
        said += [" ".join(some) for some in (further, recall_words(tables).said) if some]
    if "voters" in tables:
        said += _voters(_over_seeds(tables["voters"]))
    brackets = f", brackets hold {100 * level:g} % intervals" if "[" in "".join(said) else ""
    said.append(
        "Bits are V-information: what this kind of network can make of what it sees, at a "
        "temperature fitted on validation images, beyond knowing how frequent each emotion is. "
        f"Redundant is what both halves tell of each emotion at least ({USED}, Williams & Beer "
        "2010); decomposition.csv has two other definitions that bound all. Sides are those of the "
        f"image{brackets}."
    )
    return said


def _paragraphs(
    tables: Mapping[str, pd.DataFrame], model: str, pairs: list[tuple[str, str]]
) -> Iterator[str]:
    for mix, words in _MIXES.items():
        rows = {name: table[table["mix"] == mix] for name, table in tables.items()}
        seen = _every(rows["information"], "visible")
        if not math.isfinite(seen[WHOLE]["bits"]):
            yield f"{model}, {words}: nothing is told, for an emotion has no test image."
            continue
        halves = [half for pair in pairs for half in pair]
        alone = joined(f"the {half} half alone {_bits(seen, half)}" for half in halves)
        who = f"{model}, {words}{_under(rows['information'])}"
        said = [f"{who}: the whole face tells {_bits(seen, WHOLE)}; {alone}."]
        for pair in pairs:
            parts = rows["decomposition"]
            parts = parts[(parts["pair"] == ", ".join(pair)) & (parts["definition"] == USED)]
            said.append(_parts(_every(parts, "part"), pair))
        said += _differences(rows["shapley"], pairs)
        said += _unbounded(rows["information"], rows["shapley"])
        yield " ".join(said)


def _under(rows: pd.DataFrame) -> str:
    return under_fill(str(rows["fill"].iloc[0]))


def _other_fills(tables: Mapping[str, pd.DataFrame], model: str) -> list[str]:
    """Say which halves under further fills are in the tables alone."""
    shapley = tables["shapley"]
    rows = shapley[(shapley["model"] == model) & shapley["region"].isin(_HALVES)]
    others = rows[rows["fill"] != shown_fill(shapley, model)]
    if others.empty:
        return []
    halves = others.groupby("fill", sort=False)["region"].unique()
    named = "; ".join(f"{joined(some)}, filled with {fill}" for fill, some in halves.items())
    return [f"What halves tell under other fills is in the tables alone: {named}."]


def _unbounded(*tables: pd.DataFrame) -> list[str]:
    """Say why numbers over all images stand without an interval, where some do."""
    every = pd.concat(table[["emotion", "bits", "low", "reason"]] for table in tables)
    bare = every[(every["emotion"] == _ALL) & every["bits"].notna() & every["low"].isna()]
    # What goes before it in information.csv is about a temperature, which is told apart.
    return _no_interval(str(reason).rpartition("; ")[-1] for reason in bare["reason"])


def _no_interval(reasons: Iterable[str]) -> list[str]:
    known = [one for one in dict.fromkeys(reasons) if one]
    return [f"No interval: {'; '.join(known)}."] if known else []


def _voters(rows: pd.DataFrame) -> list[str]:
    """Say how a network agrees with people beside how one person does."""
    said = []
    for model, own in rows.groupby("model", sort=False):
        cells = _by(own, "condition")
        parts = ("full", *_HALVES)
        keys = [key for part in parts for key in cells if key.partition("@")[0] == part]
        first = next(iter(cells.values()))
        shown = joined(
            f"{condition_label(key)} {_share(cells[key], 'network')} ({_compared(cells[key])})"
            for key in keys
        )
        said.append(
            f"Of people who saw the whole face, one agrees with the others in "
            f"{_share(first, 'voter')}; {model} agrees with the very same in {shown}."
        )
        # A level that never varies can differ from another by something that does.
        said += _no_interval(
            cells[key]["reason"] or NO_VARIATION
            for key in keys
            if not np.isfinite([cells[key][f"{who}_low"] for who in ("network", "voter")]).all()
        )
    return said


def _compared(row: dict[str, Any]) -> str:
    sign = verdict(row).sign
    return {1: "more than a person", -1: "less than a person", 0: "no difference found"}[sign]


def _share(row: dict[str, Any], who: str) -> str:
    low, high = 100 * row[f"{who}_low"], 100 * row[f"{who}_high"]
    between = "" if math.isnan(low) else f" [{low:.1f}, {high:.1f}]"
    return f"{100 * row[who]:.1f} %{between}"


def _parts(parts: _Rows, pair: tuple[str, str]) -> str:
    one, other = pair
    return (
        f"Of that only the {one} half tells {_bits(parts, f'unique {one}')}, only the {other} "
        f"{_bits(parts, f'unique {other}')}, both {_bits(parts, 'redundant')}, and only both "
        f"together {_bits(parts, 'synergistic')}."
    )


def _differences(rows: pd.DataFrame, pairs: list[tuple[str, str]]) -> list[str]:
    """Say which half has the larger share, over all and by emotion, and the ratio."""
    rows = rows[rows["players"] == "halves"]
    every, said = _every(rows, "region"), []
    for one, other in pairs:
        found = _verdict(every[f"{one} - {other}"])
        more = {
            1: f"the {one} half more",
            -1: f"the {other} half more",
            0: "no half more that was found",
        }[found.sign]
        text = f"Shared out between {one} and {other}: {more} ({_difference(found)})"
        if (one, other) == ("upper", "lower") and math.isfinite(every[_RATIO]["bits"]):
            text += f"; lower to upper {_ratio(every[_RATIO])}"
        said += [f"{text}.", *_unsupported([found]), _by_emotion(rows, (one, other))]
    return said


def _unsupported(found: Iterable[Verdict]) -> list[str]:
    """Say why no direction is told of what has an interval beside 0, where there is such."""
    if not any(v.sign == 0 and v.low * v.high > 0 for v in found):
        return []
    return [
        "An interval that leaves out 0 isn't enough: the test after Holm's correction doesn't "
        "agree."
    ]


def _ratio(row: dict[str, Any]) -> str:
    if not math.isfinite(row["low"]) or not math.isfinite(row["high"]):
        # In draws in which a half tells nothing there is no ratio.
        undefined = str(row["reason"]).startswith("undefined")
        why = "a half may tell nothing" if undefined else row["reason"]
        return f"{row['bits']:.2f} to 1, with no interval ({why})"
    at = decimals(row["low"] - 1, row["high"] - 1, least=2)
    return f"{row['bits']:.{at}f} [{row['low']:.{at}f}, {row['high']:.{at}f}] to 1"


@dataclass(frozen=True)
class Shares:
    """Which half tells more, in words, and why to believe it."""

    said: list[str]
    why: list[str]


def share_words(tables: Mapping[str, pd.DataFrame]) -> Shares:
    """Return which half of each pair tells more, by both mixes, of the first of `shown_families`.

    Empty where no network reads both halves of a pair.
    """
    for model in informative_halves(tables)[:1] if "shapley" in tables else []:
        shares = _chosen(tables, model)["shapley"]
        rows = shares[shares["players"] == "halves"]
        said = [sentence for pair in _pairs(rows) for sentence in _which(rows, pair)]
        said += _other_fills(tables, model)
        n = int(rows["n"].max())
        over = "images and seeds together" if "mean" in set(rows["seed"]) else "images"
        why = [
            f"Shapley values of {model} on {n:,} images{_under(rows)}, from log loss at "
            f"temperatures that validation images chose; intervals over {over}, Holm's correction "
            "over all that the figure draws; who sees nothing knows how frequent each emotion is, "
            "so no black picture is asked."
        ]
        if model == "specialists" and "longer" in set(tables["information"]["model"]):
            why.append(
                "Whole faces are read by a network that went on training with them for as long as "
                "the others with their halves (the model longer)."
            )
        elif model == "specialists":
            why.append(
                "Whole faces are read by the baseline from which these networks went on training, "
                "so it was trained less; a generalist's parts were all trained alike."
            )
        return Shares(said, why)
    return Shares([], [])


def people_words(tables: Mapping[str, pd.DataFrame]) -> Shares:
    """Return which half people need more, and whether the network of `share_words` leans alike.

    Empty without people_halves, or where no network reads both the upper and the lower half.
    """
    models = informative_halves(tables)[:1] if "shapley" in tables else []
    if "people_halves" not in tables or not models:
        return Shares([], [])
    people = tables["people_halves"]
    theirs = {
        str(row["emotion"]): verdict(row, "percent").sign for row in people.to_dict("records")
    }
    shares = _chosen(tables, models[0])["shapley"]
    rows = shares[(shares["players"] == "halves") & (shares["mix"] == "data")]
    rows = rows[rows["region"] == "upper - lower"]
    ours = {one: _verdict(row).sign for one, row in _by(rows, "emotion").items()}
    if not ours:
        return Shares([], [])
    parts = [
        f"the {half} half more for {joined(one for one in EMOTIONS if theirs[one] == sign)}"
        for sign, half in ((1, "upper"), (-1, "lower"))
        if sign in [theirs[one] for one in EMOTIONS]
    ]
    undecided = [one for one in EMOTIONS if not theirs[one]]
    if undecided:
        parts.append(f"neither, as far as this shows, for {joined(undecided)}")
    both = [one for one in EMOTIONS if theirs[one] and ours.get(one)]
    apart = [one for one in both if theirs[one] != ours[one]]
    said = [f"People who uncovered faces tile by tile needed {'; '.join(parts)}."]
    if both:
        decided = f"Where both are decided ({joined(both)}), network and people lean to"
        but = f", but for {joined(apart)}" if apart else ""
        same = "different halves" if apart == both else f"the same half{but}"
        said.append(f"{decided} {same}.")
    else:
        said.append("For no emotion are both decided, network and people.")
    why = [
        f"{int(people['n'].max())} participants, a woman's and a man's face (Wegrzyn et al. 2017, "
        "PLOS ONE 12(5) e0177239): what each of 48 tiles was worth when the answer was right; "
        "intervals over participants, Holm's correction over the seven emotions."
    ]
    return Shares(said, why)


def recall_words(tables: Mapping[str, pd.DataFrame]) -> Shares:
    """Return where recall moves with what is answered rather than with what is seen.

    Of the network of `share_words`, for both halves of the first pair: the emotions, three at most,
    of whose change in recall half or more comes of how often they are answered, or which that part
    and the whole change pull apart. Empty where there are none, or no network reads both halves.
    """
    known = {"shapley", "sensitivity"} <= set(tables)
    models = informative_halves(tables)[:1] if known else []
    sentences, n = [], 0
    for model in models:
        chosen = _chosen(tables, model, "sensitivity")
        rows = chosen["sensitivity"][chosen["sensitivity"]["measure"] == "recall"]
        one, other = _pairs(chosen["shapley"])[0]
        for hidden, seen in ((one, other), (other, one)):
            own = rows[rows["visible"] == seen].to_dict("records")
            moved = sorted(filter(_moved_by_bias, own), key=lambda row: -abs(row["by_answers"]))[:3]
            if moved:
                n = max(n, *(int(row["n"]) for row in moved))
                parts = "; ".join(map(_moved, moved))
                sentences.append(f"Without the {hidden} half: {parts}.")
    if not sentences:
        return Shares([], [])
    said = [
        "Recall moves with how often an emotion is answered too, seen or not.",
        *sentences,
    ]
    why = [
        f"Recalls of {models[0]}, up to {n:,} images of an emotion{_under(chosen['shapley'])}; "
        "what answers alone do to them is reckoned by Luce's choice model from all confusions (in "
        "sensitivity.csv, beside d', AUC and Wagner's unbiased hit rate), with Holm's correction "
        "over the seven emotions."
    ]
    return Shares(said, why)


def _bias(row: Mapping[Any, Any]) -> Verdict:
    ends = {
        "difference": row["by_answers"],
        "low": row["by_answers_low"],
        "high": row["by_answers_high"],
    }
    return verdict(ends | {"p_holm": row["by_answers_p_holm"]})


def _moved_by_bias(row: Mapping[Any, Any]) -> bool:
    """Is what response biases do to a recall sure, and half of its change or more?"""
    bias, change = row["by_answers"], row["change"]
    return _bias(row).sign != 0 and (bias * change <= 0 or abs(bias) >= abs(change) / 2)


def _moved(row: Mapping[Any, Any]) -> str:
    change = points(row["change"], math.nan, math.nan).removesuffix(" points")
    return f"{row['emotion']} {change}, by answers alone {_bias(row).text}"


def _which(rows: pd.DataFrame, pair: tuple[str, str]) -> list[str]:
    """Say of a pair which half tells more by either mix, by how much, and of which emotions."""
    found, sizes = {}, {}
    for mix, words in _MIXES.items():
        every = _every(rows[rows["mix"] == mix], "region")
        if not math.isfinite(every[" - ".join(pair)]["bits"]):
            continue
        found[words] = _verdict(every[" - ".join(pair)])
        sizes[words] = _difference(found[words])
        if pair == ("upper", "lower") and math.isfinite(every[_RATIO]["bits"]):
            sizes[words] += f"; lower to upper {_ratio(every[_RATIO])}"
    if not found:
        return []
    signs = {one.sign for one in found.values()}
    one, other = pair
    names = {1: (one, other), -1: (other, one)}
    if len(signs) == 1 and 0 not in signs:
        more, less = names[signs.pop()]
        rest = _rest(rows, pair)
        where = "in both mixes of emotions" if len(found) > 1 else f"with {next(iter(found))}"
        text = f"The {more} half tells more than the {less} {where}"
        text += "." if rest is None else f"{_same(_verdict(rest), found, more, less)}."
    elif signs == {0}:
        text = f"Between what the {one} and the {other} half tell no difference was found."
    else:
        parts = []
        for words, v in found.items():
            if v.sign:
                parts.append(f"with {words} the {names[v.sign][0]} half tells more")
            else:
                parts.append(f"with {words} no difference was found")
        # Found in one mix and not in another doesn't say that the two differ.
        told = "; ".join(parts)
        text = (
            f"Whether the {one} or the {other} half tells more depends on the mix: {told}."
            if 0 not in signs
            else f"{told[0].upper()}{told[1:]}."
        )
    amounts = joined(f"{size} with {words}" for words, size in sizes.items())
    by_emotion = _by_emotion(rows[rows["mix"] == "data"], pair)
    said = [text, f"{one.capitalize()} minus {other}: {amounts}."]
    said += [*_unsupported(found.values()), *_left(rows, pair)]
    differences = rows[rows["region"] == " - ".join(pair)]
    return [*said, *_unbounded(differences), by_emotion]


def _left(rows: pd.DataFrame, pair: tuple[str, str]) -> list[str]:
    """Say how much is left of a lead without happy and neutral."""
    rest = _rest(rows, pair)
    if rest is None:
        return []
    size = _difference(_verdict(rest))
    ratio = _every(rows[rows["mix"] == FIVE], "region")[_RATIO]
    if math.isfinite(ratio["bits"]):
        size += f"; lower to upper {_ratio(ratio)}"
    one, other = pair
    return [f"Without happy and neutral, the other five alike, {one} minus {other}: {size}."]


def _rest(rows: pd.DataFrame, pair: tuple[str, str]) -> dict[str, Any] | None:
    """Return the difference of upper and lower without the two emotions that a mouth tells."""
    five = rows[rows["mix"] == FIVE]
    if five.empty or pair != ("upper", "lower"):
        return None
    found = _every(five, "region")[" - ".join(pair)]
    return found if math.isfinite(found["bits"]) else None


def _same(rest: Verdict, found: Mapping[str, Verdict], more: str, less: str) -> str:
    """Say whether a lead in both mixes stands without happy and neutral."""
    (sign,) = {one.sign for one in found.values()}
    if rest.sign == sign:
        return ", and without happy and neutral too"
    if rest.sign == 0:
        return ", but without happy and neutral no difference was found"
    return f", but without happy and neutral the {less} tells more than the {more}"


def _by_emotion(rows: pd.DataFrame, pair: tuple[str, str]) -> str:
    differences = _by(rows[rows["region"] == " - ".join(pair)], "emotion")
    known = [one for one in EMOTIONS if math.isfinite(differences[one]["bits"])]
    signs = {one: _verdict(differences[one]).sign for one in known}
    parts = [
        f"the {half} half tells more of {joined(one for one in known if signs[one] == sign)}"
        for sign, half in ((1, pair[0]), (-1, pair[1]))
        if sign in signs.values()
    ]
    if 0 in signs.values():
        parts.append(f"undecided for {joined(one for one in known if signs[one] == 0)}")
    return f"By emotion: {'; '.join(parts)}."


def _verdict(row: dict[str, Any]) -> Verdict:
    return verdict(row, "bits")


def _over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows `mean` of models with several seeds, and the only ones of others."""
    averaged = set(table.loc[table["seed"] == "mean", "model"])
    return table[(table["seed"] == "mean") | ~table["model"].isin(averaged)]


def _chosen(tables: Mapping[str, pd.DataFrame], model: str, *more: str) -> dict[str, pd.DataFrame]:
    """Return a model's rows over seeds, of `shown_fill`, as a rule black.

    `more` names tables beside information, decomposition and shapley.
    """
    own = {
        name: _over_seeds(tables[name][tables[name]["model"] == model])
        for name in ("information", "decomposition", "shapley", *more)
    }
    fill = shown_fill(tables["shapley"], model)
    return {name: table[table["fill"] == fill] for name, table in own.items()}


def _pairs(shapley: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of halves that rows of shapley.csv are about."""
    return [pair for pair in PAIRS if set(pair) <= set(shapley["region"])]


def _every(rows: pd.DataFrame, key: str) -> _Rows:
    """Return the rows about all images by `key`, of several fills the first."""
    return _by(rows[rows["emotion"] == _ALL].drop_duplicates(key), key)


def _by(rows: pd.DataFrame, key: str) -> _Rows:
    found = rows.assign(**{key: rows[key].astype(str)}).set_index(key, drop=False)
    return {
        str(name): dict(zip(found.columns, row, strict=True))
        for name, *row in found.itertuples(name=None)
    }


def _bits(rows: _Rows, key: str) -> str:
    row = rows[key]
    value, low, high = (two_decimals(row[name]) for name in ("bits", "low", "high"))
    return f"{value} bits" if math.isnan(row["low"]) else f"{value} bits [{low}, {high}]"


def _difference(found: Verdict) -> str:
    if math.isnan(found.low):
        # Nothing that rounds to 0 has a sign.
        return f"{round(found.value, 2) + 0.0:+.2f} bits, with no interval".replace("-", "−")
    # An interval that leaves 0 out must not seem to end there.
    at = decimals(found.low, found.high, least=2)
    text = f"{found.value:+.{at}f} bits [{found.low:+.{at}f}, {found.high:+.{at}f}]"
    return text.replace("-", "−")
