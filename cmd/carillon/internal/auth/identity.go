package auth

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillonhq/carillon/cmd/carillon/internal/glob"
)

// An Identity is who a client is and what it may do. It must not be changed.
type Identity struct {
	User    string
	Device  string    // tells a user's devices apart; empty if nobody named it
	Expires time.Time // when it ends; zero for never

	Anonymous bool // User is a name that was made up
	Permissions
}

// Permissions are what a client may do by itself. Patterns are names in which
// "*" is any text and "{user}" the client's own name.
type Permissions struct {
	Namespaces []string // patterns of the namespaces it may enter
	Rooms      []string // patterns of the rooms it may join
	Message    bool     // send to users
	Broadcast  bool     // send to the rooms that it is in
	Presence   bool     // see who is online
}

// Grants are what is said of one client, and override Permissions. They are
// the claims of a token, and a part of a webhook's answer.
type Grants struct {
	Device     string   `json:"device,omitempty"`
	Namespaces []string `json:"namespaces,omitzero"` // nil: as by default
	Rooms      []string `json:"rooms,omitzero"`      // nil: as by default

	// Can names what it may do: "message", "broadcast" and "presence". Words
	// that nobody knows grant nothing. Nil: as by default.
	Can []string `json:"can,omitzero"`
}

// with returns what p and g make together.
func (p Permissions) with(g Grants) Permissions {
	if g.Namespaces != nil {
		p.Namespaces = g.Namespaces
	}
	if g.Rooms != nil {
		p.Rooms = g.Rooms
	}
	if g.Can != nil {
		p.Message = slices.Contains(g.Can, "message")
		p.Broadcast = slices.Contains(g.Can, "broadcast")
		p.Presence = slices.Contains(g.Can, "presence")
	}
	return p
}

// MayEnter reports whether the client may enter a namespace.
func (i *Identity) MayEnter(namespace string) bool {
	return glob.MatchUser(i.Namespaces, i.User, namespace)
}

// MayJoin reports whether the client may join a room by itself.
func (i *Identity) MayJoin(room string) bool { return glob.MatchUser(i.Rooms, i.User, room) }

// maxName bounds the names of users, devices and rooms, in bytes.
const maxName = 128

// CheckName refuses what cannot be the name of a user, a device or a room, by
// an *Error of code "invalid". what says which one it is.
func CheckName(what, name string) *Error {
	switch {
	case name == "":
		return errorf(Invalid, nil, "%s: a name expected", what)
	case len(name) > maxName:
		return errorf(Invalid, nil, "%s: longer than %d bytes", what, maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errorf(Invalid, nil, "%s: holds characters that can't be printed", what)
	}
	return nil
}

// checkUser is CheckName for the user that somebody vouches for, who has made a
// mistake then.
func checkUser(what, name string) error {
	if err := CheckName(what, name); err != nil {
		err.Code = Unauthorized
		return err
	}
	return nil
}

// shown returns one value of what the client sent as auth, or nil if it is
// not there.
func shown(auth json.RawMessage, key string) (*string, error) {
	if len(auth) == 0 || lacks(auth, key) {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(auth, &fields) != nil {
		return nil, errorf(Invalid, nil, "auth: an object expected")
	}
	var value *string
	if v, ok := fields[key]; ok && json.Unmarshal(v, &value) != nil {
		return nil, errorf(Invalid, nil, "auth.%s: a string expected", key)
	}
	return value, nil
}

// lacks reports whether auth is an object without key, if that can be told
// without decoding it. Most clients name no device.
func lacks(auth json.RawMessage, key string) bool {
	return auth[0] == '{' && !bytes.ContainsRune(auth, '\\') && !bytes.Contains(auth, []byte(key)) && json.Valid(auth)
}

func deviceOf(r Request) (string, error) {
	device, err := shown(r.Auth, "device")
	if err != nil || device == nil {
		return "", err
	}
	if err := CheckName("auth.device", *device); err != nil {
		return "", err
	}
	return *device, nil
}
