package engineio_test

import "testing"

// What a client sees of several nodes is what it sees of one.
func TestAcross(t *testing.T) {
	across = 3
	defer func() { across = 0 }()
	for name, test := range map[string]func(*testing.T){
		"Polling":                TestPolling,
		"EIO3Polling":            TestEIO3Polling,
		"ClosePolling":           TestClosePolling,
		"CloseWaitingPoll":       TestCloseWaitingPoll,
		"PingPolling":            TestPingPolling,
		"NoPongByPolling":        TestNoPongByPolling,
		"OnlyPongIsPong":         TestOnlyPongIsPong,
		"OverlappingPOST":        TestOverlappingPOST,
		"ReceiverRefuses":        TestReceiverRefuses,
		"CORS":                   TestCORS,
		"HTTPCompression":        TestHTTPCompression,
		"WebSocket":              TestWebSocket,
		"InitialPacket":          TestInitialPacket,
		"Upgrade":                TestUpgrade,
		"UpgradeGivenUp":         TestUpgradeGivenUp,
		"UpgradeTimeout":         TestUpgradeTimeout,
		"PollDuringUpgrade":      TestPollDuringUpgrade,
		"POSTDuringUpgrade":      TestPOSTDuringUpgrade,
		"UpgradeUnderLoad":       TestUpgradeUnderLoad,
		"CloseDuringUpgrade":     TestCloseDuringUpgrade,
		"EIO3Upgrade":            TestEIO3Upgrade,
		"HeartbeatAcrossUpgrade": TestHeartbeatAcrossUpgrade,
		"PongTimeout":            TestDefectUpgradeForgetsPongTimeout,
		"Together":               TestTogether,
		"Abort":                  TestAbort,
		"EIO3Heartbeat":          TestEIO3Heartbeat,
	} {
		t.Run(name, test)
	}
}
