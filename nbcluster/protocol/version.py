"""The version of the messages. Knows none of them."""

PROTOCOL_VERSION = 6
"""Raised with every change that an older peer cannot read."""
