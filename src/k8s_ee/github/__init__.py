"""The only door to GitHub. Its library is imported when the first request is made, not before."""

from k8s_ee.github.client import GitHub as GitHub
from k8s_ee.github.states import Subject as Subject
