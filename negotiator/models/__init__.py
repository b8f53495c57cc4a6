"""Language models behind one small port. See `negotiator.models.base`."""
