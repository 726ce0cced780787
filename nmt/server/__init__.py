"""The server: translations over HTTP."""
