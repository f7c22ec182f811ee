"""The loop: ask what the world is like, let the core decide, act.

`controller.py` says which Canary is looked at when, `tick.py` is one look, `look.py` answers
questions, `act.py` carries out deeds. `recorder.py` tells people and `journal.py` writes down
what was seen, decided and done, which is all that `canary explain` needs.
"""
