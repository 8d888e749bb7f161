"""Weights that other programs wrote: one file a format, each read without trusting it.

Every reader turns bytes into a :class:`~decaf.formats.model.Model`: an architecture, its
parameters under decaf's names, and whatever the file says of preprocessing.  None of them runs
what a file contains, imports by name, or falls back to the program that wrote it; what is
damaged or does not fit is a :class:`~decaf.errors.WeightsError` or, where a layer is of a kind
that decaf has not, an :class:`~decaf.errors.ArchitectureError`.
"""
