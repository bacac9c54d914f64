"""The controller of training beside hand-designed schedules."""
