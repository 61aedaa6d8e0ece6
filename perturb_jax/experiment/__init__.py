"""Predictors trained on a selection and measured on what was held out."""
