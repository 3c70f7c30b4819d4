"""Studies of Dispersive Loss: plan, run and record them, and write a guide that claims no more than was measured."""
