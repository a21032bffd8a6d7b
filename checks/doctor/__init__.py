"""Every failure that is known, each with the check that finds it and with what mends it."""
