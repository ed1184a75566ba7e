"""Starts peers with loopback configurations, loads them in turn and compares what they cost."""
