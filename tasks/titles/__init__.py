"""Titles that somebody follows: when they are looked at, and what is new of them."""
