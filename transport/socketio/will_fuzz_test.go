package socketio

import (
	"encoding/json"
	"reflect"
	"testing"
)

func FuzzDecodeWill(f *testing.F) {
	f.Add([]byte(`{"v":1,"sid":"x","rooms":["a","b"],"data":{"n":1}}`), []byte(`{"v":1,"rooms":["c"],"left":["a"],"set":true,"data":null}`))
	f.Add([]byte(`{"v":2,"sid":"x"}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, body, added []byte) {
		left, err := decodeWill(body, [][]byte{added})
		if err != nil {
			return
		}
		w := left.now
		w.Set, w.Left = false, nil
		once, err := json.Marshal(&w)
		if err != nil {
			t.Fatal(err)
		}
		left, err = decodeWill(once, nil)
		again := left.now
		if err != nil || again.ID != w.ID || !reflect.DeepEqual(again.Rooms, w.Rooms) {
			t.Errorf("%s comes back as %+v (%v)", once, again, err)
		}
	})
}
