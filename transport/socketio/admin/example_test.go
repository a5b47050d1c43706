package admin_test

import (
	"log"
	"net/http"
	"os"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
)

func ExampleInstrument() {
	io := socketio.New(socketio.Options{Engine: engineio.Options{
		CORS: &engineio.CORS{Origins: []string{"https://admin.socket.io"}, Credentials: true},
	}})
	a, err := admin.Instrument(io, admin.Options{
		Username:     "admin",
		PasswordHash: os.Getenv("ADMIN_PASSWORD_HASH"),
		ReadOnly:     true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	http.Handle("/socket.io/", io)
	log.Print(http.ListenAndServe(":3000", nil))
}
