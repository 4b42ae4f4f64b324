"""Recipes and the training loop: where Sec. 3.1 meets Sec. 3.2."""
