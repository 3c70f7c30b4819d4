"""Samples of trained weights, as tensors and pictures, and models that were kept."""
