"""From saved predictions to tidy measurements; no model is called here."""
