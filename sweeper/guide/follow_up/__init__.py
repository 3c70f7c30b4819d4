"""The study to run next."""
