"""What a network learns to predict, and how samples are drawn with it."""
