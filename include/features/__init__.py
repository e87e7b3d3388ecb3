"""Feature views: definitions, versions, build, history, online."""
