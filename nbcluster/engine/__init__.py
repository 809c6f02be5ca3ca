"""What runs on the hosts: the kernel that is an engine, and the supervisor that is the parent of all."""
