"""The decisions. Pure: no clock, no randomness, no I/O, no asyncio, no zmq."""
