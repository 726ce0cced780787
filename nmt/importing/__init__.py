"""Import of models of other packages, behind a gate: they translate as they did there."""
