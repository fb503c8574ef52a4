"""Training, evaluation and prediction: Keras' loops around compiled steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src import callbacks as callbacks_module
from keras.src import optimizers as optimizers_module
from keras.src import tree
from keras.src.backend import config
from keras.src.trainers import trainer as base
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.trainers.epoch_iterator import EpochIterator
from keras.src.utils import traceback_utils
from keras.src.utils.python_utils import pythonify_logs

from keras_symgraph.src.conversion import convert_to_numpy, shape
from keras_symgraph.src.derivatives import gradients
from keras_symgraph.src.predictor import with_format
from keras_symgraph.src.traced import Eager, Traced
from keras_symgraph.src.weighting import weighted_by_rows

_Base: Any = getattr(base, "BaseTrainer", None) or base.Trainer  # its name from 3.16 on, and before


class Trainer(_Base):  # type: ignore[misc]
    """`keras.Model`'s training methods.

    ``train_step(data)``, ``test_step(data)`` and ``predict_step(data)`` may be overridden; they
    change variables as they like and are compiled, unless the model is to run eagerly.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keras' `Model`, which is made of this class, learns one more format of export."""
        super().__init_subclass__(**kwargs)
        if cls.__module__ == "keras.src.models.model" and "export" in vars(cls):
            cls.export = with_format(vars(cls)["export"])

    def __init__(self) -> None:
        super().__init__()
        self.train_function: Any = None
        self.test_function: Any = None
        self.predict_function: Any = None

    # steps ----------------------------------------------------------------------------------------

    def _predicted(self, x: Any, training: bool) -> Any:
        return self(x, training=training) if self._call_has_training_arg else self(x)

    def _loss_of(self, data: Any, training: bool) -> tuple[Any, tuple[Any, ...]]:
        """The loss of a batch, which is counted, and what metrics are computed from."""
        x, y, sample_weight = data_adapter_utils.unpack_x_y_sample_weight(data)
        y_pred = self._predicted(x, training)
        rows = shape(next(i for i in tree.flatten(x) if i is not None))[0]
        with weighted_by_rows(self._compile_loss, rows):
            loss = self._compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
            )
        self._loss_tracker.update_state(loss, sample_weight=rows)
        return loss, (x, y, y_pred, sample_weight)

    def train_step(self, data: Any) -> Any:
        """Forward, backward, update: the logs of one batch."""
        loss, (x, y, y_pred, sample_weight) = self._loss_of(data, training=True)
        if self.optimizer is not None:
            loss = self.optimizer.scale_loss(loss)
        if self.trainable_weights:
            weights = self.trainable_weights
            self.optimizer.apply(gradients(loss, weights), weights)
        else:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> Any:
        """Loss and metrics of one batch."""
        _, (x, y, y_pred, sample_weight) = self._loss_of(data, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Predictions for one batch."""
        x, _, _ = data_adapter_utils.unpack_x_y_sample_weight(data)
        return self._predicted(x, training=False)

    def _function(self, step: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
        """A function of a list of batches that runs the step on each; returns the last logs."""
        one: Any = Eager(step) if self.run_eagerly else Traced(step, name)

        def on_batches(batches: Any) -> Any:
            logs = None
            for batch in batches:
                logs = one(batch)
            return logs

        return on_batches

    def make_train_function(self, force: bool = False) -> Any:
        """The function that trains on a list of batches; made anew by ``force``."""
        if self.train_function is None or force:
            self.train_function = self._function(self._clean(self.train_step), "train_step")
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """The function that evaluates a list of batches; made anew by ``force``."""
        if self.test_function is None or force:
            self.test_function = self._function(self._clean(self.test_step), "test_step")
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        """The function that predicts for a list of batches; made anew by ``force``."""
        if self.predict_function is not None and not force:
            return self.predict_function
        step = self._clean(self.predict_step)
        one: Any = Eager(step) if self.run_eagerly else Traced(step, "predict_step")

        def on_batches(batches: Any) -> Any:
            found = [one(batch) for batch in batches]
            if len(found) == 1:
                return found[0]
            return tree.map_structure(lambda *parts: np.concatenate(parts), *found)

        self.predict_function = on_batches
        return on_batches

    def _clean(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The step, after which no layer keeps losses that were made while tracing."""

        def clean(data: Any) -> Any:
            try:
                return step(data)
            finally:
                if not self.run_eagerly:
                    self._clear_losses()

        return clean

    # loops ----------------------------------------------------------------------------------------

    def _batches(self, data: Any, size: Any, steps: Any, shuffle: Any = False, **more: Any) -> Any:
        """The batches of an epoch of (x, y, weights of samples)."""
        x, y, sample_weight = data
        return EpochIterator(
            x=x,
            y=y,
            sample_weight=sample_weight,
            batch_size=size,
            steps_per_epoch=steps,
            shuffle=shuffle,
            steps_per_execution=self.steps_per_execution,
            **more,
        )

    def _callbacks(self, given: Any, verbose: Any, epochs: int, steps: Any, history: bool) -> Any:
        if isinstance(given, callbacks_module.CallbackList):
            return given
        told = callbacks_module.CallbackList(
            given,
            add_history=history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
            model=self,
        )
        # Other threads would wait for logs which here have their values when a step returns.
        told._async_train = told._async_test = told._async_predict = False
        return told

    @traceback_utils.filter_traceback
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Any = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: Any = None,
        validation_steps: Any = None,
        validation_batch_size: Any = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train for a number of epochs; see `keras.Model.fit`. Returns the history."""
        self._assert_compile_called("fit")
        limit = config.max_epochs()
        if limit and limit < epochs:
            warnings.warn(f"Limiting epochs to {limit}", stacklevel=2)
            epochs = limit
        self._eval_epoch_iterator = None
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = array_slicing.train_validation_split(
                (x, y, sample_weight), validation_split=validation_split
            )
        batches = self._batches(
            (x, y, sample_weight),
            batch_size,
            steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        self._symbolic_build(iterator=batches)
        batches.reset()
        told = self._callbacks(callbacks, verbose, epochs, batches.num_batches, history=True)
        self.stop_training = False
        self.make_train_function()
        told.on_train_begin()
        logs: Any = None
        validate = {
            "batch_size": validation_batch_size or batch_size,
            "steps": validation_steps,
            "callbacks": told,
        }
        try:
            for epoch in range(self._initial_epoch or initial_epoch, epochs):
                logs = self._epoch(epoch, batches, told)
                if validation_data is not None and self._should_eval(epoch, validation_freq):
                    logs.update(self._validated(validation_data, validate))
                told.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if isinstance(self.optimizer, optimizers_module.Optimizer) and epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_weights)
        finally:
            self._eval_epoch_iterator = None
            del self._eval_epoch_iterator
        told.on_train_end(logs=logs)
        return self.history

    def _epoch(self, epoch: int, batches: Any, told: Any) -> dict[str, Any]:
        """Train on all batches once; the logs of the epoch."""
        self.reset_metrics()
        told.on_epoch_begin(epoch)
        logs: Any = {}
        with batches.catch_stop_iteration():
            for first, last, data in batches:
                told.on_train_batch_begin(first)
                logs = self.train_function(data)
                told.on_train_batch_end(last, logs)
                if self.stop_training:
                    break
        return dict(self._get_metrics_result_or_logs(logs))

    def _validated(self, validation_data: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Loss and metrics of the validation data, whose batches are kept for the next epoch."""
        x, y, sample_weight = data_adapter_utils.unpack_x_y_sample_weight(validation_data)
        if getattr(self, "_eval_epoch_iterator", None) is None:
            self._eval_epoch_iterator = self._batches(
                (x, y, sample_weight), options["batch_size"], options["steps"]
            )
        logs = self.evaluate(
            x=x,
            y=y,
            sample_weight=sample_weight,
            return_dict=True,
            _use_cached_eval_dataset=True,
            **options,
        )
        return {f"val_{name}": value for name, value in logs.items()}

    @traceback_utils.filter_traceback
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Any = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: Any = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics of data; see `keras.Model.evaluate`."""
        self._assert_compile_called("evaluate")
        cached = kwargs.pop("_use_cached_eval_dataset", False)
        if kwargs:
            raise ValueError(f"Arguments not recognized: {kwargs}")
        batches: Any = (
            self._eval_epoch_iterator
            if cached
            else self._batches((x, y, sample_weight), batch_size, steps)
        )
        self._symbolic_build(iterator=batches)
        batches.reset()
        told = self._callbacks(callbacks, verbose, 1, batches.num_batches, history=False)
        self.make_test_function()
        self.stop_evaluating = False
        told.on_test_begin()
        logs: Any = {}
        self.reset_metrics()
        with batches.catch_stop_iteration():
            for first, last, data in batches:
                told.on_test_batch_begin(first)
                logs = self.test_function(data)
                told.on_test_batch_end(last, logs)
                if self.stop_evaluating:
                    break
        logs = pythonify_logs(self._get_metrics_result_or_logs(logs))
        told.on_test_end(logs)
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    @traceback_utils.filter_traceback
    def predict(
        self,
        x: Any,
        batch_size: Any = None,
        verbose: Any = "auto",
        steps: Any = None,
        callbacks: Any = None,
    ) -> Any:
        """Predictions as arrays; see `keras.Model.predict`."""
        batches = self._batches((x, None, None), batch_size, steps)
        if not all(layer.built for layer in self._flatten_layers()):
            for _, _, data in batches:
                self._predicted(self._inputs_of(data[0]), training=False)
                break
            batches.reset()
        told = self._callbacks(callbacks, verbose, 1, batches.num_batches, history=False)
        self.make_predict_function()
        self.stop_predicting = False
        told.on_predict_begin()
        parts: list[Any] = []
        with batches.catch_stop_iteration():
            for first, last, data in batches:
                told.on_predict_batch_begin(first)
                outputs = tree.map_structure(np.asarray, self.predict_function(data))
                parts.append(outputs)
                told.on_predict_batch_end(last, {"outputs": outputs})
                if self.stop_predicting:
                    break
        told.on_predict_end()
        return tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    @staticmethod
    def _inputs_of(data: Any) -> Any:
        return data_adapter_utils.unpack_x_y_sample_weight(data)[0]

    # single batches -------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training; see `keras.Model.train_on_batch`."""
        self._assert_compile_called("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    "Arguments `sample_weight` and `class_weight` cannot be specified at the same "
                    f"time. Received: sample_weight={sample_weight}, class_weight={class_weight}"
                )
            sample_weight = data_adapter_utils.class_weight_to_sample_weights(y, class_weight)
        data = _as_arrays((x, y, sample_weight))
        self._symbolic_build(data_batch=data)
        self.make_train_function()
        self.reset_metrics()
        logs = pythonify_logs(self.train_function([data]))
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch; see `keras.Model.test_on_batch`."""
        self._assert_compile_called("test_on_batch")
        data = _as_arrays((x, y, sample_weight))
        self._symbolic_build(data_batch=data)
        self.make_test_function()
        self.reset_metrics()
        logs = pythonify_logs(self.test_function([data]))
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Predictions for one batch, as arrays."""
        self.make_predict_function()
        outputs = self.predict_function([(_as_arrays(x),)])
        return tree.map_structure(convert_to_numpy, outputs)


def _as_arrays(nest: Any) -> Any:
    """The data of one batch as arrays; lists of numbers are data too."""
    return tree.map_structure(
        lambda v: v if v is None or hasattr(v, "__array__") else np.asarray(v), nest
    )
