"""The recipe: a tree of sections, one field a knob; TOML in and out."""
