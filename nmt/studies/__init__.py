"""Studies: grids of small trainings, each a file, and tables of what papers say beside what was measured."""
