from tests.conftest import Kubectl as Kubectl
from tests.conftest import kubectl_for as kubectl_for
