"""What the numbers mean.

Give it a measurement and its bounds; it answers with a verdict and the sentence that explains it.
Nothing in this folder reads a clock, asks a backend or knows one from another: a number, how many
requests stand behind it and how long they were watched are all it is told.
"""
