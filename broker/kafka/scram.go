package kafka

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// newSCRAM returns how to begin the logins of a mechanism, or nil if it is
// none of SCRAM (RFC 5802).
func newSCRAM(m sarama.SASLMechanism) func() sarama.SCRAMClient {
	switch m {
	case sarama.SASLTypeSCRAMSHA256:
		return func() sarama.SCRAMClient { return &scramClient{hash: scram.SHA256} }
	case sarama.SASLTypeSCRAMSHA512:
		return func() sarama.SCRAMClient { return &scramClient{hash: scram.SHA512} }
	}
	return nil
}

type scramClient struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (c *scramClient) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.ClientConversation = client.NewConversation()
	return nil
}
