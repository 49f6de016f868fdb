"""Groups: copies of one picture, near duplicates and pictures of one person share a fate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hemiface.tables import SPLITS

__all__ = ["joined_groups", "leaked"]


def joined_groups(*groupings: Sequence[str] | npt.NDArray[Any] | pd.Series) -> npt.NDArray[np.intp]:
    """Return int [n]: the first row of each row's group, where any grouping that joins rows counts.

    A grouping has a name for each row; rows of the same name belong together, and so do rows that
    are joined through others. The name "" joins nothing.

    >>> joined_groups(["a", "b", "a", "c"], ["", "Eve", "Eve", ""]).tolist()
    [0, 0, 0, 3]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(groupings[0])
    rows, names, nodes = [], [], n
    for grouping in groupings:
        codes, known = pd.factorize(pd.Series(np.asarray(grouping)))
        belongs = np.flatnonzero(np.asarray(known)[codes] != "") if n else codes
        rows.append(belongs)
        names.append(codes[belongs] + nodes)
        nodes += len(known)
    # Rows and names are the two sides of a graph; who can be reached from a row is its group.
    edges = (np.concatenate(rows), np.concatenate(names))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, first, place = np.unique(component[:n], return_index=True, return_inverse=True)
    found: npt.NDArray[np.intp] = first[place]
    return found


def leaked(images: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return bool [n]: has the image's group a member in an earlier split?

    The order is train, validation, test: models are trained on the first and selected on the
    second. Training images themselves are always leaked.
    """
    order = pd.Categorical(images["split"], categories=list(SPLITS)).codes
    earliest = pd.Series(order).groupby(images["group"].to_numpy()).transform("min").to_numpy()
    result: npt.NDArray[np.bool_] = (order == 0) | (earliest < order)
    return result
