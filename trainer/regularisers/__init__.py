"""What is added to the loss, its bounds, and the health of the representation it acts on."""
