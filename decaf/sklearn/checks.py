"""Which of scikit-learn's own checks cannot pass because X is photos, and why.

``sklearn.utils.estimator_checks`` passes rows of numbers.  The tests make a photo of each row
and run all checks that there are for a transformer and for a classifier, and those that
scikit-learn runs on its own estimators only.  These fail, and all others pass:

    >>> sorted(CLASSIFIER.keys() - FEATURES.keys())[:2]
    ['check_classifiers_classes', 'check_classifiers_one_label']

A check that is listed here and passes is an error too, so the lists are as long as they must
be.  They have the form that ``check_estimator(..., expected_failed_checks=FEATURES)`` takes.
"""

from __future__ import annotations

_ONE_PHOTO = "n_features_in_ is 1, a photo, and photos may differ in size"
_WORDS = "it is refused with a ValueError as it should, but in words about photos"

_BOTH = {
    "check_n_features_in": _ONE_PHOTO,
    "check_n_features_in_after_fitting": _ONE_PHOTO,
    "check_dataframe_column_names_consistency": "a table of photos has one column, not eight",
    "check_complex_data": _WORDS,
    "check_estimators_empty_data_messages": f"no columns: {_WORDS}",
    "check_estimators_nan_inf": f"numbers that are no pixels, NaN or not: {_WORDS}",
    "check_fit2d_predict1d": f"one row: {_WORDS}",
    "check_dtype_object": "numbers stored as objects are no photos, whatever their values",
}

FEATURES = {
    **_BOTH,
    "check_transformer_get_feature_names_out": f"not one name: {_WORDS}",
    "check_transformer_get_feature_names_out_pandas": f"not one name: {_WORDS}",
}

CLASSIFIER = {
    **_BOTH,
    "check_classifiers_classes": "labels that the network does not know are refused",
    "check_classifiers_one_label": "the network predicts all its labels, whatever is in y",
    "check_classifiers_regression_target": "numbers as y are refused, in words about labels",
    "check_classifiers_train": _ONE_PHOTO,
}
