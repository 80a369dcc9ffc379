"""Run by an environment with stock dependencies: nothing of the mesh is imported here."""
