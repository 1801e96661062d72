"""vrapp: a live VR world that deep generative models make while the user stands in it.

Floors (imports go down only; ``tests/test_floors.py`` holds them):

4  ``app``                                   the wiring: frame loop, commands, bench, doctor
3  ``interaction`` ``training``              gestures and events; learning
2  ``generation`` ``scene`` ``adaptation`` ``physics`` ``render`` ``display`` ``study``
1  ``models`` ``core``                       torch modules; types, maths, errors, clock

Importing this package imports none of them, so that the first picture does not wait for torch.
"""

__version__ = "0.1.0"
