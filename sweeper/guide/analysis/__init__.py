"""From records to figures and claims; no words."""
