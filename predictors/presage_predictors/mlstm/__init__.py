"""The learned forecaster: an mLSTM, trained with torch and run with numpy."""
