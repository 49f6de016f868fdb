"""What of a face can be seen under a thing that covers it: drawn, learnt and scored."""
