"""Networks as pure functions of a flat buffer of weights, independent of the objective."""
