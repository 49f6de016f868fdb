"""Videos and cameras: frames in and out, faces that keep their numbers, blurring, timelines."""
