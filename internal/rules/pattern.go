package rules

import "slices"

// Pattern returns what matches paths as one pattern of a rule does, or a *PatternError.
func Pattern(pattern string) (func(path string) bool, error) {
	alternatives, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	globs := make([]glob, len(alternatives))
	for i, a := range alternatives {
		globs[i] = compile(a)
	}
	return func(path string) bool {
		return slices.ContainsFunc(globs, func(g glob) bool { return g.match(path) })
	}, nil
}
