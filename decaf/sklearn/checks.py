"""Which of scikit-learn's own checks cannot pass because X is photos, and why.

``sklearn.utils.estimator_checks`` passes rows of numbers, which are no photos: as they are, the
estimators would refuse all of them.  The tests put a layer in between that makes a small photo of
each row (and labels of numbers in y), and run all checks that there are for a transformer and
for a classifier, and those that scikit-learn runs on its own estimators only.  So they show that
the estimators behave as scikit-learn wants it, given photos; what they do with other X the tests
of the estimators show.  These checks fail, and all others pass:

    >>> sorted(CLASSIFIER.keys() - FEATURES.keys())[:2]
    ['check_classifiers_classes', 'check_classifiers_one_label']

A check that is listed here and passes is an error too, so the lists are as long as they must
be.  They have the form that ``check_estimator(..., expected_failed_checks=FEATURES)`` takes.
"""

from __future__ import annotations

_ONE_PHOTO = "n_features_in_ is 1, a photo, and photos may differ in size"

_BOTH = {
    "check_n_features_in": _ONE_PHOTO,
    "check_n_features_in_after_fitting": _ONE_PHOTO,
    "check_dataframe_column_names_consistency": "a table of photos has one column, not eight",
}

FEATURES = {
    **_BOTH,
    "check_transformer_get_feature_names_out": "input_features has one name, not three",
    "check_transformer_get_feature_names_out_pandas": "a table of photos has one column, not three",
}

CLASSIFIER = {
    **_BOTH,
    "check_classifiers_classes": "labels that the network does not know are refused",
    "check_classifiers_one_label": "the network predicts all its labels, whatever is in y",
    "check_classifiers_train": _ONE_PHOTO,
}
