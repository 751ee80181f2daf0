"""Images without a registry or a daemon: layers are tar files, an image is a tar of them.

The sandbox's node has nowhere to pull from, so everything that runs on it is assembled here and
imported: the pause program, this project, Prometheus. Nothing needs root but the node itself.
"""
