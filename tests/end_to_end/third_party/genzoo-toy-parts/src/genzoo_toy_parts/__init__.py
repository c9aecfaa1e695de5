"""An objective, a dataset and a callback of a third party's."""
