package presence

import "errors"

var (
	// ErrClosed is the answer of a Tracker after its Close.
	ErrClosed = errors.New("presence: closed")

	// ErrInvalid says that an ID is empty or longer than MaxID, or that
	// metadata exceeds Options.MaxMeta. Nothing was changed.
	ErrInvalid = errors.New("presence: invalid")

	// ErrCursor says that Page was not given a Next of a page.
	ErrCursor = errors.New("presence: invalid cursor")

	// ErrGone says that a Hold's device was let go, or tracked anew.
	ErrGone = errors.New("presence: the device is held no more")
)
