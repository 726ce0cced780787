"""Documents translated in place: the text inside markup and files, everything else as it was."""
