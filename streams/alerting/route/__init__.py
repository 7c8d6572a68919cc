"""From the alerts that stand to the messages that are due: pure stages, one file each, in the order of ``plan``."""
