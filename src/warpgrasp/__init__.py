"""Hands and the objects they hold, in metric camera space, from sparsely annotated colour video."""
