"""Webhooks out.

What is sent is made in `payload.py`, when it is sent again in `retries.py`, and `call.py` does it.
Nothing here decides what an answer means for a release.
"""
