"""The forecaster that serves: whoever has been best on this very series, with quantiles that hold."""
