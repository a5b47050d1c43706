package main

import (
	"encoding/json"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// A traveler is what another node has to know of a device whose client is back
// there, and shows anew who it is and what it may do.
type traveler struct {
	User      string `json:"user"`
	Device    string `json:"device,omitempty"`
	Anonymous bool   `json:"anonymous,omitempty"`
}

// encodeDevice is for socketio.Recovery.
func encodeDevice(data any) ([]byte, error) {
	d, _ := data.(device)
	return json.Marshal(traveler{User: d.User, Device: d.Name, Anonymous: d.identity.Anonymous})
}

// decodeDevice undoes it, as far as identify asks.
func decodeDevice(text []byte) (any, error) {
	var t traveler
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	return device{User: t.User, Name: t.Device, identity: auth.Identity{User: t.User, Device: t.Device, Anonymous: t.Anonymous}}, nil
}
