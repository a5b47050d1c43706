package polling

var (
	FramesOf  = frames
	Join      = join
	Negotiate = negotiate
)
