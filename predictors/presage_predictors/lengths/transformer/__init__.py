"""The transformer tier: a frozen encoder with a trained soft prompt and head. It needs torch."""
