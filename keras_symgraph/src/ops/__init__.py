"""The operations of Keras as graphs of symgraph, by the modules that Keras knows.

Each function has the name, the arguments and the meaning of the one in `keras.ops`, where it is
documented; a docstring here says only what is particular. Every function makes nodes of a graph and
looks at no values, so that what runs eagerly can be traced.
"""
