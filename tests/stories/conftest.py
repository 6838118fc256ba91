"""Three machines for the stories of this folder."""

from kit.machine_fixtures import homes as homes
from kit.machine_fixtures import machines as machines
