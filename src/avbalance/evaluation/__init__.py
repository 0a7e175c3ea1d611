"""From saved predictions to measurements and to the verdicts on a paper's claims; no model is called here."""
