"""Training objectives: the quantity a network learns to predict, and how samples are drawn with it."""
