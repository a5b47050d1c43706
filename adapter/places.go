package adapter

// places are the rooms that a member is in, and where it stands in each
// room.members. Most sockets are in few rooms, for which a list is smaller than
// a map, and as fast.
type places struct {
	few  []place
	many map[*room]int // instead of few, beyond maxFew
}

type place struct {
	room *room
	at   int
}

const maxFew = 64

func (p *places) len() int { return len(p.few) + len(p.many) }

// find returns where the member stands in r, if it does.
func (p *places) find(r *room) (at int, in bool) {
	for i := range p.few {
		if p.few[i].room == r {
			return p.few[i].at, true
		}
	}
	at, in = p.many[r]
	return at, in
}

// put notes a room that is new, or a new place in one that is not.
func (p *places) put(r *room, at int) {
	for i := range p.few {
		if p.few[i].room == r {
			p.few[i].at = at
			return
		}
	}
	if p.many == nil {
		if len(p.few) < maxFew {
			if p.few == nil {
				p.few = make([]place, 0, 1) // append would begin with more
			}
			p.few = append(p.few, place{r, at})
			return
		}
		p.many = make(map[*room]int, maxFew+1)
		for _, o := range p.few {
			p.many[o.room] = o.at
		}
		p.few = nil
	}
	p.many[r] = at
}

func (p *places) drop(r *room) {
	for i := range p.few {
		if p.few[i].room == r {
			last := len(p.few) - 1
			p.few[i] = p.few[last]
			p.few[last] = place{}
			p.few = p.few[:last]
			return
		}
	}
	delete(p.many, r)
}

// each calls f for every room until it returns false. f may drop the room.
func (p *places) each(f func(r *room) bool) {
	for i := len(p.few) - 1; i >= 0; i-- {
		if !f(p.few[i].room) {
			return
		}
	}
	for r := range p.many {
		if !f(r) {
			return
		}
	}
}
