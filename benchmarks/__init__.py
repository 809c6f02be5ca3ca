"""nbcluster beside its peers: the same work, interleaved, in fresh processes, with CPU beside wall."""
