"""What a program holds of a cluster: the async client, and its synchronous face."""
