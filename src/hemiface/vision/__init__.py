"""Real pictures: detect faces, align them, say what is visible, predict; without torch.

What reads a photo, a folder, a video or a camera and writes tables lies in `run`; what answers for
one picture in `predictor`; for a video's frames in `watching`.
"""

from hemiface.vision.predictor import Predictor
from hemiface.vision.video.watching import Watch

__all__ = ["Predictor", "Watch"]
