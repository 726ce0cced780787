"""The commands, one module each, loaded only when the command is called."""
