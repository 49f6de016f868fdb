"""Finding faces in pictures, and bringing them to the crop that networks know."""
