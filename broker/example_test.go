package broker_test

import (
	"context"
	"fmt"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// Two nodes over a broker within the process.
func Example() {
	ctx := context.Background()
	hub := memory.NewHub()
	berlin, err := broker.Open(ctx, hub.Open, broker.Options{Node: "berlin", Logger: silent})
	if err != nil {
		panic(err)
	}
	defer berlin.Close()

	up := make(chan struct{})
	berlin.Watch(func(ev broker.Event) {
		if ev.Kind == broker.NodeUp {
			fmt.Println(ev.Node.Name, "is up")
			close(up)
		}
	})
	berlin.Respond("time", func(m broker.Message) ([]byte, error) { return []byte("tea time"), nil })

	london, err := broker.Open(ctx, hub.Open, broker.Options{Node: "london", Logger: silent})
	if err != nil {
		panic(err)
	}
	defer london.Close()
	heard := make(chan string)
	london.Handle("chat", func(m broker.Message) { heard <- m.From.Name + ": " + string(m.Body) })
	<-up

	berlin.Broadcast("chat", []byte("hello"))
	fmt.Println(<-heard)

	question, err := london.Request("time", nil, berlin.Self().ID)
	if err != nil {
		panic(err)
	}
	for _, a := range question.Wait(ctx) {
		fmt.Println(a.From.Name, "says", string(a.Body), a.Err)
	}
	// Output:
	// london is up
	// berlin: hello
	// berlin says tea time <nil>
}
