"""How good a model is: figures of windows, figures of events, curves, calibration, thresholds.

Pure arithmetic on scores and times; the model itself is run by `pipeline.replay`. Figures come from
scikit-learn and SciPy where they have them, pictures from matplotlib (extra `train`).
Invariant: importing this package imports none of these libraries.
"""
