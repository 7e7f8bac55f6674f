package record

import "errors"

// The kinds of failure that stages act upon. Errors wrap one of these and say operation, subject, got and want.
var (
	ErrFull    = errors.New("queue is full")                          // no room within max_size or min_free
	ErrGone    = errors.New("data is gone")                           // released, punched or never written
	ErrCorrupt = errors.New("data is damaged")                        // a checksum or structure does not hold
	ErrRefused = errors.New("refused for good")                       // trying again will not help
	ErrClosed  = errors.New("closed")                                 // the stage has been closed
	ErrEpoch   = errors.New("stream is known with different content") // a new epoch is needed
)
