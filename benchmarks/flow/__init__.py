"""The few-shot flow of drawings: its training, its distillation into few steps, and what inner steps do."""
