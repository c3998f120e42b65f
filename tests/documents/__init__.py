"""Configure's own pages that this package is built from, sentence by sentence.

Each test's docstring names the section and quotes the sentence. The app is on Flask, and its store in memory: what an
adapter or a store adds has tests of its own.
"""
