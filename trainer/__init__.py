"""Compact diffusion transformers with Dispersive Loss, in pure torch. Knows nothing of sweeper."""
