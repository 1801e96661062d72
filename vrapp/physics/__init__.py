"""Rigid bodies: what is held, thrown and stacked, by MuJoCo."""
