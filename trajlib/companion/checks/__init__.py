"""The checks of the papers' claims, one module a chapter: what was measured goes in, numbers and conditions come out.

A check can fail: tests/companion/checks shows for each one made-up data on which it does.
"""
