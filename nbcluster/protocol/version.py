"""The version of the messages. Knows none of them."""

PROTOCOL_VERSION = 7
"""Raised with every change that an older peer cannot read."""
