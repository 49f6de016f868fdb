"""How long tables, figures and the page take from the predictions alone, and how much memory.

    python benchmarks/reporting.py                 # 501,120 rows: 6 models x 16 x 3 seeds
    python benchmarks/reporting.py --images 7178   # 2,067,264 rows: FER2013

Predictions are synthesised with known effects, written as a study writes them, and given to
`hemiface importance` and `hemiface report`, each a process of its own. Time is that of the whole
process, memory its largest resident set. Written to results/benchmarks/reporting.json; `--keep`
keeps the run in a folder, to look at.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import skeleton
from hemiface.config import Config, EvaluateConfig, from_dict, to_toml
from hemiface.occlusion.conditions import COALITIONS, QUADRANTS, condition
from hemiface.tables import EMOTIONS, PROBABILITY_COLUMNS, Predictions, write_predictions

MODELS = ("full", "any", "upper", "lower", "left", "right")
CONDITIONS = ("full", "upper", "lower", "left", "right")
CONDITIONS += tuple(one for one in COALITIONS.values() if one not in CONDITIONS)
SHARES = np.array([0.137, 0.015, 0.147, 0.245, 0.166, 0.116, 0.174])
# What each quarter adds to the logit of the truth, per emotion: angry above, happy below, ...
ABOVE = np.array([1.2, 0.9, 1.4, 0.6, 1.0, 1.5, 0.9])
BELOW = np.array([0.9, 1.3, 0.7, 2.6, 1.0, 1.3, 1.0])
LEAKED, IN_PAIRS = 0.26, 0.06


def images(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return `count` images, half validation and half test, with FER2013's shares of labels."""
    split = np.where(np.arange(count) < count // 2, "validation", "test")
    single = np.arange(count)
    twin = rng.random(count) < IN_PAIRS / 2
    group = np.where(twin & (single > 0), np.maximum(single - 1, 0), single)
    return pd.DataFrame(
        {
            "image": [f"{index:016x}" for index in single],
            "dataset": "fer2013",
            "split": split,
            "label": np.asarray(EMOTIONS)[rng.choice(7, count, p=SHARES)],
            "group": [f"{index:016x}" for index in group],
            "leaked": rng.random(count) < LEAKED,
        }
    )


def probabilities(
    labels: np.ndarray, ease: np.ndarray, model: str, key: str, rng: np.random.Generator
) -> np.ndarray:
    """Return float32 [n, 7]: surer of the truth the more is visible, and surer than it should be.

    A baseline reads hidden faces worse than what stays visible would allow; left and right tell the
    same; with the lower half hidden, disgust looks like anger.
    """
    hidden = condition(key).hidden
    seen = {one: one not in hidden for one in QUADRANTS}
    above = (seen["upper-left"] + seen["upper-right"]) / 2
    below = (seen["lower-left"] + seen["lower-right"]) / 2
    lost = 0.9 if model == "full" else 0.35 if model not in ("any", key) else 0.0
    visible = ABOVE * above + BELOW * below - lost * len(hidden) / 2
    logits = rng.normal(0, 1, (len(labels), 7))
    logits[np.arange(len(labels)), labels] += visible[labels] + ease
    logits[labels == EMOTIONS.index("disgust"), EMOTIONS.index("angry")] += 1.5 * (1 - below)
    logits *= 1.3 + 0.5 * (model == "full") * (len(hidden) > 0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def synthesise(folder: Path, count: int, seeds: int, seed: int = 0) -> int:
    """Write predictions.parquet and config.toml into `folder`; return the number of rows."""
    rng = np.random.default_rng(seed)
    base = images(count, rng)
    labels = base["label"].map({one: index for index, one in enumerate(EMOTIONS)}).to_numpy()
    ease = rng.normal(0, 1.2, count)
    cells, described = [], []
    for name in MODELS:
        for run in range(seeds):
            model = f"{name}-seed{run}"
            seen = [one for one in CONDITIONS if one != "none"] if name == "any" else [name]
            described.append(
                {"model": model, "name": name, "seed": run, "flips": False, "conditions": seen}
            )
            skill = rng.normal(0, 0.08)
            for key in CONDITIONS:
                p = probabilities(labels, ease + skill, name, key, rng)
                cell = base.assign(condition=key, model=model)
                cells.append(cell.assign(**dict(zip(PROBABILITY_COLUMNS, p.T, strict=True))))
    table = pd.concat(cells, ignore_index=True)
    write_predictions(Predictions(table, {"models": described}), folder / "predictions.parquet")
    tree: dict[str, Any] = {"name": "synthetic", "models": list(MODELS)}
    tree |= {"seeds": list(range(seeds)), "augment": {"flip": False}}
    config: Config = from_dict({**tree, "evaluate": {"conditions": list(CONDITIONS)}})
    assert isinstance(config.evaluate, EvaluateConfig)  # noqa: S101
    (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
    return len(table)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do all measurements and return what the results file holds."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = synthesise(folder, options.images, options.seeds)
        machine = skeleton.Machine()
        found = {
            "importance": skeleton.cost_of("importance", folder / "predictions.parquet"),
            "report": skeleton.cost_of("report", folder),
        }
    return {
        "rows": rows,
        "images": options.images,
        "seeds": options.seeds,
        "models": len(MODELS),
        "conditions": len(CONDITIONS),
        "commands": found,
        **machine.flat_facts(),
    }


def show(results: dict[str, Any]) -> None:
    found = results["commands"]
    for name, one in found.items():
        print(
            f"hemiface {name}: {one['time_s']} s, {one['peak_mib']} MiB, {results['rows']:,} rows"
        )
    total = sum(one["time_s"] for one in found.values())
    print(f"together: {total:.0f} s, at most {max(one['peak_mib'] for one in found.values())} MiB")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = skeleton.parser(__doc__, skeleton.RESULTS / "reporting.json")
    add = parser.add_argument
    add("--images", type=skeleton.count, default=1740, help="half validation, half test")
    add("--seeds", type=skeleton.count, default=3)
    add("--keep", type=Path, help="write the run here and keep it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return skeleton.main(parse(arguments), run, show)


if __name__ == "__main__":
    sys.exit(main())
