"""Knowledge graphs: the gene ontology's, or a finished edge list."""
