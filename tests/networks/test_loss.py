"""The loss of a step: which terms are in it, with which weights, and how the teacher's rise."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs hemiface[train]")

import torch.nn.functional as F  # noqa: E402, N812

from hemiface.config import DistillConfig, Recipe  # noqa: E402
from hemiface.networks.batches import Batch  # noqa: E402
from hemiface.networks.distillation import Lesson, distillation_loss, teach  # noqa: E402
from hemiface.networks.loss import Loss  # noqa: E402

N = 6
DRAWS = torch.Generator().manual_seed(0)
WHOLE, HIDDEN = (torch.rand(N, 48, 48, generator=DRAWS) for _ in range(2))
TARGETS = torch.softmax(torch.randn(N, 7, generator=DRAWS), 1)
WEIGHT = torch.randn(48 * 48, 7, generator=DRAWS) / 48
WEIGHTS = torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 0.5])


def logits(faces):
    return faces.flatten(1) @ WEIGHT


def pair(faces):
    return logits(faces), faces.flatten(1)[:, :3]


class Teacher:
    """Another linear network, whose features are the three first pixels."""

    def features(self, faces):
        return faces.flatten(1)[:, :3] * 2

    def classify(self, features):
        return torch.cat([features, features, features[:, :1]], 1)


def batch(step: int = 0, mixing: float | None = None) -> Batch:
    random = torch.Generator().manual_seed(1)
    return Batch(torch.zeros(N, 48, 48, dtype=torch.uint8), TARGETS, step, 48, random, mixing)


def loss(recipe: Recipe, forward=logits, *, weights=None, teacher=None, ramp=0.0) -> Loss:
    return Loss(forward, recipe, weights, teacher, nullcontext, ramp)


def paired(**options: object) -> Recipe:
    return replace(Recipe(), distill=DistillConfig(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_alone_it_is_the_cross_entropy_of_the_hidden_face(weights):
    found = loss(Recipe(), weights=weights).of(WHOLE, HIDDEN, batch())
    used = torch.ones(7) if weights is None else weights
    expected = -(used * TARGETS * logits(HIDDEN).log_softmax(1)).sum(1).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_smoothing_spreads_a_share_of_the_target():
    recipe = replace(Recipe(), train=replace(Recipe().train, label_smoothing=0.1))
    found = loss(recipe).of(WHOLE, HIDDEN, batch())
    smooth = 0.9 * TARGETS + 0.1 / 7
    assert float(found) == pytest.approx(
        float(-(smooth * logits(HIDDEN).log_softmax(1)).sum(1).mean()), rel=1e-5
    )


def test_mixed_images_have_mixed_targets():
    """The loss of linear logits lies between those of its parts; at weight 1 nothing is mixed."""
    plain = loss(Recipe()).of(WHOLE, HIDDEN, batch())
    assert float(loss(Recipe()).of(WHOLE, HIDDEN, batch(mixing=1.0))) == pytest.approx(float(plain))
    assert float(loss(Recipe()).of(WHOLE, HIDDEN, batch(mixing=0.5))) != pytest.approx(float(plain))


@pytest.mark.parametrize("clean", [0.0, 0.5, 2.0])
def test_pairs_add_the_whole_face_by_its_weight(clean):
    # A teacher's term of next to nothing makes images enter in pairs.
    recipe = paired(clean=clean, logits=1e-9, teacher="self")
    found = loss(recipe, pair).of(WHOLE, HIDDEN, batch())
    seen, own = (F.cross_entropy(logits(faces), TARGETS) for faces in (HIDDEN, WHOLE))
    assert float(found) == pytest.approx(float(seen + clean * own), rel=1e-4)


@pytest.mark.parametrize(
    ("step", "ramp", "share"), [(0, 0.0, 1.0), (0, 4.0, 0.25), (1, 4.0, 0.5), (9, 4.0, 1.0)]
)
def test_the_teachers_terms_rise_over_the_ramp(step, ramp, share):
    recipe, teacher = paired(clean=1.0, logits=1.0, clean_logits=0.5, features=0.3), Teacher()
    found = loss(recipe, pair, teacher=teacher, ramp=ramp).of(WHOLE, HIDDEN, batch(step))
    without = sum(F.cross_entropy(logits(faces), TARGETS) for faces in (HIDDEN, WHOLE))
    told = distillation_loss(
        Lesson(*pair(HIDDEN)), Lesson(*pair(WHOLE)), teach(teacher, WHOLE), recipe.distill
    )
    assert float(found) == pytest.approx(float(without + share * told), rel=1e-5)
    assert math.isfinite(float(told))
    assert float(told) > 0


def test_what_teaches_itself_gives_its_teacher_no_gradient():
    weight = WEIGHT.clone().requires_grad_()

    def forward(faces):
        return faces.flatten(1) @ weight, faces.flatten(1)[:, :3]

    recipe = paired(clean=0.0, logits=1.0, teacher="self")
    loss(recipe, forward).of(WHOLE, HIDDEN, batch()).backward()
    again = WEIGHT.clone().requires_grad_()
    seen, told = HIDDEN.flatten(1) @ again, (WHOLE.flatten(1) @ WEIGHT).detach()
    t = recipe.distill.temperature
    divergence = F.kl_div(
        (seen / t).log_softmax(1), (told / t).log_softmax(1), reduction="batchmean", log_target=True
    )
    (F.cross_entropy(seen, TARGETS) + t**2 * divergence).backward()
    torch.testing.assert_close(weight.grad, again.grad)
