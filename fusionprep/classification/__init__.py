"""Classification of subjects by their images, to find out whether fusion helps.

Every choice is made without the subjects it is tested on: folds hold whole subjects, and what is
fitted (centring, scaling, strength of the penalty, calibration, early stopping) sees the training
folds alone.
"""
