"""Compact diffusion transformers with Dispersive Loss, in pure torch. It never imports sweeper."""
