"""A card for each model that comes along, with the front matter that model hubs read.

Everything is from the index and the file's own metadata, so a card can't say what the file doesn't.
`model_card` is a README.md to upload beside the file; the site shows it and keeps it ready at
`cards/NAME.card.txt`.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from hemiface.models import shipped
from hemiface.tables import EMOTIONS
from repository import Pages

__all__ = ["FOLDER", "card_pages", "model_card"]

FOLDER = "cards"
HIDDEN = {
    "full": "whole faces",
    "upper": "upper half hidden",
    "lower": "lower half hidden",
    "left": "left half hidden",
    "right": "right half hidden",
}
_EXAMPLE = """```python
import hemiface as hf

model = hf.OnnxModel.load("{file}")
probabilities = model.predict(faces)  # uint8 [n, 48, 48], grey -> float32 [n, 7]
```
"""
_FORBIDDEN = (
    "It names how a face looks to a labeller, not what a person feels. Don't judge people by it: "
    "not at work, not in education (the EU AI Act, article 5, forbids inferring emotions there), "
    "not in hiring, policing, insurance or medicine."
)


def card_pages() -> tuple[Pages, dict[str, str]]:
    """Return the pages of the site, and the cards as files by their place in it."""
    cards = {row["name"]: (row, model_card(row)) for row in shipped.describe()}
    pages, files = {}, {}
    rows = ["| model | tells | bytes | licence |", "|---|---|---|---|"]
    for name, (row, card) in cards.items():
        matter, _, body = card.removeprefix("---\n").partition("---\n")
        pages[f"{FOLDER}/{name}.md"] = (
            f"{body.strip()}\n\n## Front matter for hubs\n\n[Card as a file]({name}.card.txt), to "
            f"lie beside `{row['file']}` as README.md.\n\n```yaml\n{matter}```\n"
        )
        files[f"{FOLDER}/{name}.card.txt"] = card
        rows.append(
            f"| [`{name}`]({name}.md) | {row['summary']} | {row['bytes']:,} | {row['licence']} |"
        )
    top = (
        "# Cards for hubs\n\nA card for each file that comes with hemiface, made from the file's "
        "own metadata: what it takes and gives, what it scored, what it must not be used for, "
        "and YAML front matter that model hubs read. What holds for all of them, and which to "
        "take: [model card](../MODEL_CARD.md).\n\n"
    )
    return {f"{FOLDER}/index.md": top + "\n".join(rows) + "\n", **pages}, files


def model_card(row: Mapping[str, Any]) -> str:
    """Return the card of a row of `shipped.describe`: front matter and Markdown."""
    header = row["header"]
    emotional = row["kind"] == "emotion"
    tags = ["onnx", "face", "occlusion", row["precision"]]
    tags += ["facial-expression-recognition", "emotion-recognition"] if emotional else []
    matter: dict[str, Any] = {
        "license": row["licence"].lower(),
        "library_name": "onnx",
        "pipeline_tag": "image-classification" if emotional else "image-segmentation",
        "tags": tags,
        "metrics": ["accuracy"] if emotional else [],
        "model_name": row["name"],
    }
    if row["accuracy"]:
        matter["model-index"] = [{"name": row["name"], "results": _results(row)}]
    text = yaml.safe_dump(
        {key: value for key, value in matter.items() if value},
        sort_keys=False,
        allow_unicode=True,
        width=200,
    )
    parts = [f"# {row['name']}", row["summary"], *_facts(row, header)]
    if emotional:
        parts += [_EXAMPLE.format(file=row["file"]), *_scores(row), *_thresholds(row)]
        parts += ["## What it must not be used for", _FORBIDDEN]
    return f"---\n{text}---\n" + "\n\n".join(one.strip() for one in parts) + "\n"


def _images(row: Mapping[str, Any]) -> dict[str, int]:
    """Return how many test images the file was scored on, by condition, where that is recorded."""
    parity = row["header"].get("parity", {})
    scored = (*parity.get("conditions", ()), *row["scores"])
    return {one["condition"]: one["n"] for one in scored}


def _results(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    labels, images = _labels(row), _images(row)
    return [
        {
            "task": {"type": "image-classification", "name": f"Emotion, {HIDDEN[condition]}"},
            "dataset": {
                "type": "fer2013",
                "name": f"FER2013 PrivateTest by {labels}, {HIDDEN[condition]}, "
                f"n = {images[condition]}",
                "split": "test",
            },
            "metrics": [{"type": "accuracy", "value": round(value, 4), "name": "accuracy"}],
        }
        for condition, value in row["accuracy"].items()
        if condition in HIDDEN and condition in images
    ]


def _labels(row: Mapping[str, Any]) -> str:
    return "FER+'s most frequent vote" if row["labels"] == "people" else "FER2013's own labels"


def _facts(row: Mapping[str, Any], header: Mapping[str, Any]) -> list[str]:
    facts = {
        "file": f"`{row['file']}`, {row['bytes']:,} bytes, {row['precision']}",
        "SHA-256": f"`{row['sha256']}`",
        "licence": row["licence"],
        "takes": "grey faces, uint8 `[n, 48, 48]`; scaling and normalising are inside",
    }
    if row["kind"] == "emotion":
        facts["gives"] = "float32 `[n, 7]`, probabilities of " + ", ".join(EMOTIONS)
        if row["labels"]:
            facts["labels"] = shipped.LABELLINGS[row["labels"]]
    if "model" in header:
        facts["architecture"] = f"`{header['model']['architecture']}`"
    if "train_images" in header["provenance"]:
        facts["learnt from"] = (
            f"{header['provenance']['train_images']:,} training images of FER2013"
        )
    return [
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])
    ]


def _scores(row: Mapping[str, Any]) -> list[str]:
    images = _images(row)
    lines = [
        f"| {HIDDEN[key]} | {100 * value:.1f} | {images[key]:,} |"
        for key, value in row["accuracy"].items()
        if key in HIDDEN and key in images
    ]
    said = f"By {_labels(row)}, on FER2013's PrivateTest; one network, trained once."
    return [
        "## Accuracy",
        said,
        "\n".join(["| seen | accuracy, % | images |", "|---|---|---|", *lines]),
    ]


def _thresholds(row: Mapping[str, Any]) -> list[str]:
    below = row["abstain_below"]
    lines = [
        f"| {HIDDEN[one['condition']]} | {100 * one['coverage']:.1f} | "
        f"{100 * one['accuracy']:.1f} | {one['n']:,} |"
        for one in row["answered"]
        if one["condition"] in HIDDEN and one["abstain_below"] == below
    ]
    if not lines:
        return []
    said = f"Below a confidence of {below:.2f} it gives no label; counted on validation images."
    head = ["| seen | labelled, % | of these right, % | faces |", "|---|---|---|---|"]
    return ["## Where it gives no label", said, "\n".join([*head, *lines])]
