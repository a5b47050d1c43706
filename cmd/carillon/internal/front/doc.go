// Package front is what stands between the network and the handlers of HTTP: a
// bound on connections that ask nothing, a short way for those that open a
// WebSocket, the addresses of clients behind proxies, the origins of web pages,
// and certificates that change.
package front
