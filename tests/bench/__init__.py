"""``make bench``: what the mesh is measured by. Nothing here is a test."""
