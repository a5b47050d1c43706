package main

import (
	"encoding/json"
	"fmt"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// deviceWire is what other instances have to know of a device whose client is
// back on one of them: who it was. All else identify finds out anew.
type deviceWire struct {
	User      string `json:"user"`
	Name      string `json:"device,omitempty"`
	Anonymous bool   `json:"anonymous,omitempty"`
}

func encodeDevice(data any) ([]byte, error) {
	d, ok := data.(device)
	if !ok {
		return nil, fmt.Errorf("data of a socket is a %T, not a device", data)
	}
	return json.Marshal(deviceWire{User: d.User, Name: d.Name, Anonymous: d.identity.Anonymous})
}

func decodeDevice(encoded []byte) (any, error) {
	var w deviceWire
	if err := json.Unmarshal(encoded, &w); err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	return device{User: w.User, Name: w.Name, identity: auth.Identity{User: w.User, Device: w.Name, Anonymous: w.Anonymous}}, nil
}
