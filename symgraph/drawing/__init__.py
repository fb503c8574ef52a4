"""Pictures of graphs and programs: scene, layout, and writers for SVG, HTML and Graphviz."""
