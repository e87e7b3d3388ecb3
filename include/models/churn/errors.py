"""What can be wrong with a decision about a churn model."""


class EvaluationOutOfDate(RuntimeError):
    """The champion has changed since the model was compared with it."""
