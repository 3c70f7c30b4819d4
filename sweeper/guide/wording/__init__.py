"""From figures and claims to sentences."""
