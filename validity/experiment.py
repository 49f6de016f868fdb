"""What the scripts here share: arguments, errors, and what lies beside the tables of a folder."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from hemiface.config import Config, to_toml
from hemiface.errors import HemifaceError
from hemiface.files import atomic_path, sha256_file, write_json, write_text
from hemiface.provenance import code_hash, environment
from hemiface.stats.sample import group_weights


def parser(about: str) -> argparse.ArgumentParser:
    """Return a parser that shows `about`, a script's docstring, as it is laid out."""
    return argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_training(to: argparse.ArgumentParser, name: str, *, device: str) -> None:
    """Add what every experiment that trains takes: --set, --device, --out and --runs.

    `name` is that of the temporary folder in which trainings are kept unless --runs names another.
    """
    to.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    to.add_argument("--device", default=device)
    to.add_argument("--out", type=Path, required=True, help="folder of the tables")
    to.add_argument(
        "--runs",
        type=Path,
        default=Path(tempfile.gettempdir()) / f"hemiface-{name}",
        help="folder of what is kept between runs, so that an interrupted one goes on",
    )


def write_origin(folder: Path, config: Config) -> None:
    """Write what the tables of a folder come from: versions, hardware and the resolved config."""
    write_json(folder / "environment.json", environment())
    write_text(folder / "config.toml", to_toml(config))


def exit_code(work: Callable[[], object]) -> int:
    """Do `work` and return 0; say what a user can mend and return the code of its error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    try:
        work()
    except HemifaceError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def kept(path: Path, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the array of a .npy file, which is made and written first where there is none."""
    if not path.is_file():
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, make())
    return np.load(path)  # type: ignore[no-any-return]


def used_by(script: ModuleType) -> list[str]:
    """Return the package's modules that the names in a script come from, sorted."""
    named = {
        getattr(one, "__module__", None) or getattr(one, "__name__", "")
        for one in vars(script).values()
    }
    return sorted(name for name in named if name.startswith("hemiface."))


def code_of(script: ModuleType) -> list[str]:
    """Return hashes of a script and of all code of the package that it can run."""
    return [code_hash(*used_by(script)), sha256_file(str(script.__file__))]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `hits` among `n`, NaN of nothing."""
    if not n:
        return np.nan, np.nan
    ends = binomtest(hits, n).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def image_weights(groups: Any, draws: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return [n, draws]: how often each image is drawn where its group, one of [n], is drawn."""
    codes, known = pd.factorize(groups, sort=True)
    return group_weights(len(known), draws, seed)[codes].astype(np.float64)


def mean_interval(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of values [n] under weights [n, draws]."""
    low, high = np.quantile(values @ weights / weights.sum(axis=0), [0.025, 0.975])
    return float(low), float(high)
