"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AlignOption",
    "ConfigPath",
    "DataOption",
    "DealOption",
    "DeviceOption",
    "DrawsOption",
    "FolderOption",
    "HalvesOption",
    "JsonOption",
    "LabelsOption",
    "OutFolder",
    "ReplaceOption",
    "SetOption",
    "SkipBadOption",
    "SourcePath",
]

ConfigPath = Annotated[
    Path, typer.Argument(help="A config of hemiface configs, such as quick, or a TOML file.")
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="fer2013.csv (also .gz, .bz2, .zip), a CSV of pictures (path, label, split, person), "
        "folders named after emotions, a published data set, hf:NAME, a run folder, "
        "or phantom: for rendered faces.",
    ),
]
AlignOption = Annotated[
    bool,
    typer.Option(
        "--align",
        help="Find and align the faces of whole pictures; without, pictures are taken for crops.",
    ),
]
DealOption = Annotated[
    bool,
    typer.Option(
        "--deal", help="Deal images into train, validation and test anew, persons kept together."
    ),
]
LabelsOption = Annotated[
    str,
    typer.Option(
        "--labels",
        help="ferplus=PATH takes the labels from FER+ votes, ferplus-majority=PATH only those "
        "with more than half of them, single votes left out first.",
    ),
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out what can't be read, and count it.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key: --set train.epochs=10. Repeatable."),
]
SourcePath = Annotated[
    Path, typer.Argument(help="A run folder, a predictions.parquet or a folder of parts.")
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder of the tables; default beside the predictions, named as the command."
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Let a smaller result take the place of a larger one.")
]
DrawsOption = Annotated[int, typer.Option(help="Bootstrap draws.", min=2)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        help="What the network is called in the table, in place of its own name; once for each, "
        "in their order.",
    ),
]
FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Another folder of models with an index.json.")
]
HalvesOption = Annotated[
    str,
    typer.Option(
        "--halves",
        help="image: halves end in the picture's middle. face: at the face's own midline and nose "
        "line, found with the networks of hemiface models pull.",
    ),
]
