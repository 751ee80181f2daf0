"""Who else there is: peers from a file or from the API server, and which of them answer."""
