package adapter

import (
	"context"
	"testing"

	"github.com/carillonhq/carillon/broker"
)

// A node whose answer came, and who is then not waited for any more, is not
// missing: it owed no more than that.
func TestInquiryOfNodesAnsweredBeforeCount(t *testing.T) {
	in := newInquiry()
	in.once = true
	in.answer(broker.NodeID{1}, "", answered, []byte("yes"))
	in.count(broker.Member{ID: broker.NodeID{1}, Name: "a"}, 0, broker.ErrTimeout)
	answers, err := in.wait(context.Background())
	if err != nil || len(answers) != 1 {
		t.Errorf("got %d answers, %v", len(answers), err)
	}
}
