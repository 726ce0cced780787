"""Algorithmic tasks, a file a family; `nmt.tasks.algorithmic` lists them and generates their examples."""
