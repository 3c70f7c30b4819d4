"""Terms added to the objective's loss, their bounds, and the health of the representations they act on."""
