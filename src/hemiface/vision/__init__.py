"""Real pictures: detect faces, align them, say what is visible, predict; without torch.

What reads a photo, a folder, a video or a camera and writes tables lies in `run`; what answers for
one picture in `predictor`.
"""

from hemiface.vision.predictor import Predictor

__all__ = ["Predictor"]
