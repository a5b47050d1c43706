package adapter

import (
	"context"

	"github.com/carillonhq/carillon/broker"
)

// roomSize is a room and how many members it has on this node.
type roomSize struct {
	room    Room
	members int
}

// roomSizes returns all rooms of this node; a socket's own only if others
// are in it, too.
func (l *Local) roomSizes() []roomSize {
	l.mu.RLock()
	defer l.mu.RUnlock()
	sizes := make([]roomSize, 0, len(l.rooms))
	for name, r := range l.rooms {
		if n := l.present(r); n > 0 {
			sizes = append(sizes, roomSize{name, n})
		}
	}
	return sizes
}

func (l *Local) roomPages() pager {
	return pagesOf(l.roomSizes(), func(b []byte, s roomSize) []byte { return appendRoomSize(b, s.room, s.members) })
}

// AllRooms implements Adapter. It fails with ErrClosed only.
func (l *Local) AllRooms(context.Context) (map[Room]int, error) {
	if l.isClosed() {
		return nil, ErrClosed
	}
	all := make(map[Room]int)
	for _, s := range l.roomSizes() {
		all[s.room] = s.members
	}
	return all, nil
}

// AllRooms implements Adapter.
func (n *clustered) AllRooms(ctx context.Context) (map[Room]int, error) {
	all, err := n.Local.AllRooms(ctx)
	if err != nil {
		return nil, err
	}
	ctx, release := n.bound(ctx)
	defer release()
	err = n.pull(ctx, kindRooms, Target{}, func(_ broker.Member, page []byte) error {
		return decodeRoomSizes(all, page)
	})
	return all, err
}
