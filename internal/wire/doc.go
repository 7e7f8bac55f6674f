// Package wire is the form that chunks have between machines and in queue entries.
package wire
