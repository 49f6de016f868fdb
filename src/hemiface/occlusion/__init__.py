"""What can be hidden of a face, and hiding it: pure functions on uint8 pixels."""
