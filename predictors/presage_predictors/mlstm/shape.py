"""The network's dimensions: what torch trains and numpy runs must agree on."""

from presage_predictors.controls.statistical import LEVELS
from presage_predictors.panel.experts import EXPERTS

WIDTH = 32  # of what each window is turned into
HEADS = 4
VALUE = 12  # keys and values of each head: its memory is a matrix of 12 by 12
KERNEL = 4  # windows that the convolution before the memory sees
HIDDEN = 64  # of each step ahead
LOWER = LEVELS.index(0.5)  # quantiles below the median
OUTPUTS = len(EXPERTS) + 1 + len(LEVELS) - 1  # mixture, correction, distances between quantiles
KNOTS = (1, 2, 3, 4, 6, 9, 12, 20, 30, 60, 120)  # steps that are forecast; between them it is interpolated
