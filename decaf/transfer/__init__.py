"""What the features are for: the experiments of three papers, on scikit-learn's estimators."""
