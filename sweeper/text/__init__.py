"""Formatting text for readers: untrusted text escaped, durations, figures."""
