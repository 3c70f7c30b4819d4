"""Words and numbers as people read them: untrusted text made harmless, durations, figures."""
