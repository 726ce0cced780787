"""The studies that nmt has."""

from nmt.studies.base import AnyStudy
from nmt.studies.in_context_regression import InContextRegression
from nmt.studies.length_generalization import LengthGeneralization
from nmt.studies.softmax_regression import SoftmaxRegressionStudy

STUDIES: tuple[AnyStudy, ...] = (LengthGeneralization(), InContextRegression(), SoftmaxRegressionStudy())
