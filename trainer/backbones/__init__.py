"""Networks as pure functions of a flat buffer of weights; they know no objective."""
