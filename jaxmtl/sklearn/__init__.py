"""Estimators of scikit-learn over what ``jaxmtl fit`` does; loads scikit-learn."""

from jaxmtl.sklearn.classifier import MultiTaskClassifier as MultiTaskClassifier
from jaxmtl.sklearn.mixed import MultiTaskEstimator as MultiTaskEstimator
from jaxmtl.sklearn.regressor import MultiTaskRegressor as MultiTaskRegressor
