"""Linear models by name. Imports nothing heavy."""

LINEAR_MODELS = {
    "ridge": "ridge regression",
    "logistic": "logistic regression",
    "svm": "linear SVM",
}
"""What users type, and in words."""
