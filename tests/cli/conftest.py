"""Key stores of three parties."""

from kit.machine_fixtures import homes as homes
