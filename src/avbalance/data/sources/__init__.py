"""Sources of clips, one module per `kind` of data set specification (dashes become underscores)."""
