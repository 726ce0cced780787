"""Loss, optimizer, checkpoints and the loop."""
