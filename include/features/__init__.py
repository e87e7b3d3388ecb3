"""Feature views: build, history, online, training sets."""
