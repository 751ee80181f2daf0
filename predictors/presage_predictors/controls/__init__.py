"""The statistical controls: forecasters that need no training, which every learned model must beat."""

from presage_predictors.controls.holt_winters import HoltWinters
from presage_predictors.controls.last_value import LastValue
from presage_predictors.controls.seasonal_level import SeasonalLevel
from presage_predictors.controls.statistical import Statistical

__all__ = ["HoltWinters", "LastValue", "SeasonalLevel", "Statistical"]
