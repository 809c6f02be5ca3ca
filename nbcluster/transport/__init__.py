"""Channels: how messages travel. Knows bytes and sockets, not what the messages mean."""
