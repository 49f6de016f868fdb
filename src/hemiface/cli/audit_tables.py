"""What an audit of data found, as tables: counts, copies and leaks, contradictions, problems."""

from collections.abc import Sequence
from typing import Any

from hemiface.cli.printing import show
from hemiface.tables import EMOTIONS, SPLITS

__all__ = ["print_audit"]

_EXAMPLES = 5

_Rows = list[Sequence[str] | None]


def print_audit(found: dict[str, Any]) -> None:
    """Print `found`, what `hemiface.data.audit.audit` returned.

    How the source was read, counts, copies and leaks, and, where there are any, examples of groups
    with conflicting labels and images that are constant or were left out.
    """
    _print_reading(found)
    _print_counts(found)
    _print_duplicates(found)
    if found["near"]["conflicts"] or found["exact"]["conflicts"]:
        _print_conflicts(found)
    if found["constant"]["images"] or found["skipped"]:
        _print_problems(found)


def _print_reading(found: dict[str, Any]) -> None:
    known = found["reading"]
    persons, aligned = known["persons"], known["aligned"]
    rows: _Rows = [
        ["form", found["form"]],
        ["data set", known["dataset"]],
        ["persons", "not known" if persons is None else f"{persons:,}"],
        ["groups that are resampled", f"{known['groups']:,}"],
    ]
    if aligned:
        rows.append(["pictures with a face that was found", f"{aligned['found']:,}"])
        rows.append(["pictures without, left out", f"{aligned['without']:,}"])
        rows.append(["pictures with several", f"{aligned['several']:,}"])
    for what, counts in (("converted", known["converted"]), ("left out", known["other_labels"])):
        rows += [[f"{what}: {name}", f"{count:,}"] for name, count in counts.items()]
    show("How it was read", ["", "what"], rows)


def _print_counts(found: dict[str, Any]) -> None:
    total = max(found["images"], 1)
    rows: _Rows = []
    for emotion in (*EMOTIONS, "total"):
        counts = [found["counts"][split][emotion] for split in (*SPLITS, "all")]
        if emotion == "total":
            rows.append(None)
        rows.append([emotion, *(f"{count:,}" for count in counts), _percent(counts[-1] / total)])
    numbers = [*SPLITS, "all", "share"]
    title = f"Images: {found['images']:,} in {found['source']}"
    show(title, ["emotion", *numbers], rows, numbers=numbers)


def _print_duplicates(found: dict[str, Any]) -> None:
    exact, near, free = found["exact"], found["near"], found["leak_free"]
    rows: _Rows = [
        ["different pictures", *_both(found, "distinct")],
        ["groups of two or more images", *_both(found, "groups")],
        ["images in such groups", *_both(found, "images_in_groups")],
        ["images beyond the first of their group", *_both(found, "surplus")],
        ["largest group", *_both(found, "largest")],
        None,
        *([f"surplus within {split}", *_both(found, "surplus_within", split)] for split in SPLITS),
        None,
    ]
    for one, other in zip(exact["across"], near["across"], strict=True):
        shares = (f"{item['images']:,} ({_percent(item['share'])})" for item in (one, other))
        rows.append(
            [f"{one['split']} images with a copy in {' or '.join(one['also_in'])}", *shares]
        )
    rows += [
        None,
        ["groups with conflicting labels", *_both(found, "conflicting_groups")],
        ["images in such groups", *_both(found, "conflicting_images")],
        None,
        [
            "leak-free test images: no copy in train or validation",
            "",
            f"{free['images']:,} ({_percent(free['share'])})",
        ],
    ]
    numbers = ["bit-identical", "near (includes identical)"]
    show("Duplicates", ["", *numbers], rows, numbers=numbers)


def _both(found: dict[str, Any], *path: str) -> list[str]:
    """Return what lies under `path` for identical and for near copies."""
    cells = []
    for value in (found["exact"], found["near"]):
        for key in path:
            value = value[key]
        cells.append(f"{value:,}")
    return cells


def _print_conflicts(found: dict[str, Any]) -> None:
    rows: _Rows = []
    for kind, words in (("exact", "identical"), ("near", "near")):
        for group in found[kind]["conflicts"][:_EXAMPLES]:
            labels = ", ".join(f"{count} {label}" for label, count in group["labels"].items())
            rows.append([f"{group['images']} {words}", labels, "\n".join(group["sources"][:2])])
    show("Groups with conflicting labels, the largest", ["images", "labels", "for example"], rows)


def _print_problems(found: dict[str, Any]) -> None:
    constant, skipped = found["constant"], found["skipped"]
    rows: _Rows = []
    for words, count, which in (
        ("constant (all pixels equal)", constant["images"], constant["sources"]),
        ("left out while reading", len(skipped), skipped),
    ):
        if count:
            shown = which[:_EXAMPLES]
            rest = [f"and {count - len(shown):,} more"] if count > len(shown) else []
            rows.append([words, f"{count:,}", "\n".join([*shown, *rest])])
    show("Images to look at", ["what", "images", "which"], rows)


def _percent(share: float | None) -> str:
    return "no images" if share is None else f"{100 * share:.1f} %"
