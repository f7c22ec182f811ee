"""Where a number comes from.

One file a backend, and the contract in `base.py`. Nothing here decides what a number means: that
is `judge`, and `evaluate.py` brings both together. A backend that is down, a missing series or no
traffic is told as what it is, and never as a bad number.
"""
