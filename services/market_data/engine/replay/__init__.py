"""The venue REPLAY: stored data of a project, played by a feed's process as if it were live."""
