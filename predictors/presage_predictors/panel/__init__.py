"""Many series side by side, window by window: simple forecasts, how good each has been, network inputs.

Training, backtests and the operator run this same code over the same kind of data, one window at a time,
so a figure that looks ahead, or a feature that differs between training and serving, cannot arise.
"""

from presage_predictors.panel.panel import Panel
from presage_predictors.panel.view import View

__all__ = ["Panel", "View"]
