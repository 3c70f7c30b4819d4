"""From a study to its cells and trials."""
