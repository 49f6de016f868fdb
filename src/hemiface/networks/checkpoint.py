"""What is kept of a training: its history, the best weights, a checkpoint, and the Bundle."""

import logging
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hemiface.config import as_plain
from hemiface.data.images import Images
from hemiface.files import hash_json
from hemiface.networks import checkpoint_files
from hemiface.networks.network import Bundle
from hemiface.networks.optimiser import copied
from hemiface.networks.task import Task
from hemiface.tables import write_csv

__all__ = ["BUNDLE_FILE", "CHECKPOINTS", "Progress", "drop_checkpoints", "save_every_s"]

log = logging.getLogger(__name__)

BUNDLE_FILE = "bundle.safetensors"
CHECKPOINTS = "checkpoint"
"""The folder of what a training goes on from, in its own folder."""


def drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a finished training."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def save_every_s(device: torch.device) -> float:
    """Return the least time between two checkpoints on a device."""
    # On a GPU an epoch may take less time than writing all that the next one starts from.
    return 0.0 if device.type == "cpu" else 15.0


class Progress:
    """How far a training has come, in memory and in its folder."""

    def __init__(self, job: Task, folder: Path, fingerprint: str) -> None:
        self._job, self._folder, self._fingerprint = job, folder, fingerprint
        self._checkpoints = folder / CHECKPOINTS
        self._saved_at = -math.inf
        self.history: list[dict[str, Any]] = []
        """A row for each finished epoch."""
        self.best: dict[str, Any] = {"score": -1.0, "epoch": 0, "weights": {}}
        """The epoch that is kept so far."""

    def resume(self, device: torch.device) -> dict[str, Any] | None:
        """Go back to the last checkpoint; return the state that the next epoch starts from.

        Where the last one is damaged it is the one before. None where there is no checkpoint of
        this training.

        Raises:
            DamagedError: there are checkpoints, and none of them is whole.
        """
        keys = {"fingerprint", "state", "history", "best"}
        content = checkpoint_files.newest_whole(self._checkpoints, self._job.model_id, keys, device)
        if content is None:
            return None
        if content["fingerprint"] != self._fingerprint:
            log.warning(
                "%s belongs to another config, data or code; training starts anew",
                self._checkpoints,
            )
            return None
        self.history, self.best = content["history"], content["best"]
        state: dict[str, Any] = content["state"]
        return state

    def compare_threads(self, now: int) -> None:
        """Say so if this training goes on with another number of threads than before.

        The number is no part of the fingerprint: what was trained under another one stays done.
        """
        before = self.history[-1].get("threads", now)
        if before != now:
            log.warning(
                "%s: %d threads from here on, %d before: sums round in another order, so that the "
                "weights won't be those of an undisturbed training; OMP_NUM_THREADS=%d keeps them",
                self._job.model_id,
                now,
                before,
                before,
            )

    def note(self, row: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Add an epoch's row, and keep its weights if the recipe selects them."""
        self.history.append(row)
        score, last = row["validation_accuracy"], self._job.recipe.train.select == "last"
        if score > self.best["score"] or last:
            self.best = {"score": score, "epoch": row["epoch"], "weights": copied(weights)}

    def save(self, state: dict[str, Any], every_s: float) -> None:
        """Write the history, and a checkpoint if the last one is `every_s` old."""
        if time.monotonic() - self._saved_at >= every_s:
            content = {
                "fingerprint": self._fingerprint,
                "state": state,
                "history": self.history,
                "best": self.best,
            }
            checkpoint_files.save(content, self._checkpoints)
            self._saved_at = time.monotonic()
        self._write_history()

    def log_epoch(self, epochs: int) -> None:
        """Tell the last epoch's numbers, and how long the rest of `epochs` will take."""
        last = self.history[-1]
        typical_s = float(np.median([row["seconds"] for row in self.history]))
        log.info(
            "%s epoch %d/%d  loss %.4f  validation loss %.4f accuracy %.4f (best %.4f, epoch %d)  "
            "%.0f images/s  %.0f s, about %.0f min left",
            self._job.model_id,
            last["epoch"],
            epochs,
            last["train_loss"],
            last["validation_loss"],
            last["validation_accuracy"],
            self.best["score"],
            self.best["epoch"],
            last["images_per_s"],
            last["seconds"],
            typical_s * (epochs - len(self.history)) / 60,
        )

    def _write_history(self) -> None:
        write_csv(pd.DataFrame(self.history), self._folder / "history.csv")

    def finish(self, images: Images, precision: str, class_mix: Mapping[str, float]) -> None:
        """Write the history and the Bundle, then drop the checkpoint, which nothing needs any more.

        `class_mix` is each emotion's share of what was learnt.
        """
        job = self._job
        # A kill may have come between the last epoch's checkpoint and its row.
        self._write_history()
        provenance = {
            "model_id": job.model_id,
            "name": job.name,
            "seed": job.seed,
            "conditions": [one.key for one in job.conditions],
            "selection": [one.key for one in job.selection],
            "init_sha256": job.init_sha256,
            "teacher_sha256": job.teacher_sha256,
            "recipe": as_plain(job.recipe),
            "flips": job.flips,
            "precision": precision,
            "epoch": self.best["epoch"],
            "validation_accuracy": self.best["score"],
            "class_mix": dict(class_mix),
            "train_images": int((images.table["split"] == "train").sum()),
            "data_sha256": images.info.get("data_sha256"),
            "votes_sha256": job.votes_sha256(images),
            "weights_sha256": job.weights_sha256,
            "max_steps": job.max_steps,
            "config_hash": hash_json(
                {"model": as_plain(job.model), "recipe": as_plain(job.recipe)}
            ),
            "fingerprint": self._fingerprint,
            "training_s": sum(row["seconds"] for row in self.history),
            # Epochs of before these were noted have none.
            "threads": sorted({row["threads"] for row in self.history if "threads" in row}),
        }
        Bundle(model=job.model, weights=self.best["weights"], provenance=provenance).save(
            self._folder / BUNDLE_FILE,
            torch.float16 if job.recipe.train.saved_as == "fp16" else torch.float32,
        )
        drop_checkpoints(self._folder)
