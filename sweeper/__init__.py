"""Studies of Dispersive Loss: plan, run, remember, and write a guide that claims no more than was measured."""
