package polling

var (
	FramesOf   = frames
	Frames3Of  = frames3
	Records3Of = records3
	Form       = form
	Join       = join
	Join3      = join3
	Negotiate  = negotiate
)
