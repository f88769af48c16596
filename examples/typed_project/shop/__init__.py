"""A small shop, typed throughout."""
