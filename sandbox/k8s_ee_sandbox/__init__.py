"""A real Kubernetes cluster on one Linux machine, without Docker: what it is made of, and how it is started."""
