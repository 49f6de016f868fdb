"""Real pictures: detect faces, align them, say what is visible, predict; without torch."""
