package websocket

import (
	"strings"
)

// windowBits is the size of both windows, and what an answer that does not
// mention them stands for.
const windowBits = 15

// offersDeflate reports whether one of the client's offers can be agreed to
// as it is done here (RFC 7692, section 7.1): no context is taken over, which
// the answer says, and the windows are as large as can be. A client that asks
// for a smaller one of the server is not served with compression. What it
// says about its own window only matters to those who would limit that.
func offersDeflate(lines []string) bool {
	for _, line := range lines {
		for offer := range strings.SplitSeq(line, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

// acceptable goes by the rule that an offer is declined if a parameter is
// unknown, appears twice, or has a value that it must not have.
func acceptable(offer string) bool {
	name, params, more := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	seen := map[string]bool{}
	for more {
		var param string
		param, params, more = strings.Cut(params, ";")
		key, value, valued := strings.Cut(param, "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[key] {
			return false
		}
		seen[key] = true
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return false
			}
		case "server_max_window_bits":
			if value != "15" {
				return false
			}
		case "client_max_window_bits":
			if valued && !isWindow(value) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// isWindow reports whether value is from 8 to 15, without leading zeros.
func isWindow(value string) bool {
	switch value {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}
