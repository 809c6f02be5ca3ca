"""What goes over the wires. No asyncio, no zmq, no knowledge of who sends."""
