"""The few-shot flow of drawings: its training, its distillation into few steps, and the model that ships."""
