"""A preview environment on Kubernetes for every pull request."""

__version__ = "1.0.0"
