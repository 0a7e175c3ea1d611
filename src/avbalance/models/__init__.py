"""Networks: one module per model name, composed from encoders, fusion heads and MMTM blocks."""
