"""Reading corpora of any format, from disk, the web or the Hub."""
